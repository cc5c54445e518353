import PoolCore
import Postgres
import Synchronization

/// Where in the program a connection was acquired: said of a lease that is held too long.
public struct AcquisitionSite: Sendable, CustomStringConvertible {
  private let file: StaticString
  /// The line in that file.
  public let line: UInt
  /// The name of the task, if it was given one.
  public let task: String?

  init(file: StaticString, line: UInt, task: String?) {
    self.file = file
    self.line = line
    self.task = task
  }

  /// As `Module/File.swift`.
  public var fileID: String { "\(file)" }

  public var description: String { task.map { "\(fileID):\(line) (task \($0))" } ?? "\(fileID):\(line)" }
}

/// What the pool knows of a lease in use.
///
/// `@unchecked Sendable`: a lease cannot be used by two tasks at once. The task that holds it reads and changes it; on
/// the loop that is done only while that task waits for the loop, or has given the lease back.
final class Loan: @unchecked Sendable {
  /// As this pool counts them; both are others after a read whose standby was lost.
  private(set) var pool: WarmPool
  private(set) var id: LeaseID
  /// What both are changed under, for the only ones who look from elsewhere: cancellation handlers.
  private let moving = Mutex(())
  /// Another one after a first statement that moved.
  var pooled: PooledConnection
  var connection: Connection { pooled.connection }
  /// Finds another pool for a read whose own has nothing left.
  let readers: ReadWritePool?
  /// How long its caller was ready to wait for a connection.
  let patience: Duration
  let resetting: SessionReset
  let site: AcquisitionSite
  /// No statement has been tried yet.
  var isUntouched = true
  /// A statement was refused with 25006, on a connection that could be written to at its login.
  var metReadOnly: Fault?
  /// Its session carries the lease's `application_name`.
  var isTagged = false
  /// Transactions that are open: the outermost one, and savepoints within it. One that the lease's holder began with a
  /// statement of its own counts only while there are savepoints of ours in it.
  private(set) var depth = 0
  /// The outermost one is the holder's: not ours to commit.
  private var isOutermostForeign = false

  init(
    _ pool: WarmPool, _ id: LeaseID, _ pooled: PooledConnection, patience: Duration, resetting: SessionReset,
    site: AcquisitionSite, readers: ReadWritePool?
  ) {
    self.pool = pool
    self.id = id
    self.pooled = pooled
    self.patience = patience
    self.resetting = resetting
    self.site = site
    self.readers = readers
  }

  func move(to pool: WarmPool, _ id: LeaseID, _ pooled: PooledConnection) {
    moving.withLock { _ in
      self.pool = pool
      self.id = id
    }
    self.pooled = pooled
  }

  /// The task that holds it is cancelled. Any thread.
  func cancelled() {
    let (pool, id) = moving.withLock { _ in (self.pool, self.id) }
    pool.loop.post { pool.assumeIsolated { $0.stopAsking(for: id) } }
  }

  func enterForeignTransaction() {
    depth = 1
    isOutermostForeign = true
  }

  func enterTransaction() { depth += 1 }

  func leaveTransaction() {
    depth = max(0, depth - 1)
    if depth == 1, isOutermostForeign { depth = 0 }
    if depth == 0 { isOutermostForeign = false }
  }
}
