import PoolCore
import Postgres

/// A connection of the pool.
///
/// `@unchecked Sendable`: what changes is touched on the loop alone.
final class PooledConnection: @unchecked Sendable {
  let id: ConnectionID
  let connection: Connection
  /// The pool has it as long as it is open.
  private let pool: WarmPool
  /// By whom it was last acquired.
  var acquired: Acquisition?
  /// The statement that ran there at the last beat, and whether it has been told of as unanswered.
  var unanswered: (statement: UInt64, isTold: Bool)?

  init(_ id: ConnectionID, _ connection: Connection, of pool: WarmPool) {
    self.id = id
    self.connection = connection
    self.pool = pool
  }
}

extension PooledConnection: AnswerListener {
  func hear(_ answer: Connection.Answer) { pool.synchronously.hear(answer, on: self) }
}
