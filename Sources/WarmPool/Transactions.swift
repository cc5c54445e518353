import EventLoop
import PoolCore
import Postgres

extension WarmPool {
  /// Runs `body` in a transaction: committed once when it returns, rolled back if it throws or its task is cancelled.
  ///
  /// What it throws:
  /// - what `body` throws: nothing of the transaction was executed;
  /// - a `PoolError` of kind `.query` if BEGIN or COMMIT was refused (a deferred constraint, a serialization
  ///   failure): nothing was executed;
  /// - of kind `.rolledBack` if `body` caught the error of a statement and returned: nothing was executed;
  /// - of kind `.commitUnknown`, with `maybeExecuted`, if the connection was lost after COMMIT had been sent;
  /// - and what `withConnection` throws.
  ///
  /// `retry` runs it again after 40001 and 40P01, each time on a connection acquired anew.
  ///
  /// A `COMMIT` or `ROLLBACK` that `body` runs by itself is not seen: leave both to the pool.
  public nonisolated func withTransaction<Result>(
    _ options: TransactionOptions = TransactionOptions(), retry: TransactionRetry? = nil,
    timeout: Duration? = nil, tag: String? = nil, resetting: SessionReset = .transaction,
    file: StaticString = #fileID, line: UInt = #line, _ body: (borrowing Lease) async throws -> Result
  ) async throws -> Result {
    try await repeating(retry) {
      try await withConnection(
        timeout: timeout, tag: tag, resetting: resetting, file: file, line: line
      ) { db in try await db.withTransaction(options, body) }
    }
  }

  /// Runs a transaction, and again after a conflict if it is to be.
  nonisolated func repeating<Result>(
    _ retry: TransactionRetry?, _ transaction: () async throws -> Result
  ) async throws -> Result {
    var attempt = 1
    while true {
      do {
        return try await transaction()
      } catch let error as PoolError {
        guard let retry, attempt < retry.attempts, error.isTransactionConflict else { throw error }
        attempt += 1
        var random = SystemRandomNumberGenerator()
        try await pause(for: retry.wait(before: attempt, random: &random))
      }
    }
  }

  /// Waits on the loop's own clock; ends early with `CancellationError`.
  func pause(for time: Duration) async throws {
    let pause = Pause()
    try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
        if Task.isCancelled { return continuation.resume(throwing: CancellationError()) }
        pause.continuation = continuation
        pause.timer = loop.schedule(at: EventLoop.now() + time) { pause.end(with: .success(())) }
      }
    } onCancel: {
      loop.post {
        self.assumeIsolated { pool in
          if let timer = pause.timer { pool.loop.cancel(timer) }
          pause.end(with: .failure(CancellationError()))
        }
      }
    }
  }
}

/// `@unchecked Sendable`: touched on the loop alone.
private final class Pause: @unchecked Sendable {
  var continuation: CheckedContinuation<Void, any Error>?
  var timer: TimerToken?

  func end(with result: Result<Void, any Error>) {
    continuation?.resume(with: result)
    continuation = nil
  }
}

extension PoolError {
  /// The database gave the transaction up in favour of another one, as a whole.
  fileprivate var isTransactionConflict: Bool {
    guard kind == .query, !maybeExecuted else { return false }
    return fault?.sqlState == .serializationFailure || fault?.sqlState == .deadlockDetected
  }
}

extension Lease {
  /// Runs `body` in a transaction on this lease, or within one in a savepoint: kept when it returns, rolled back if it
  /// throws. `options` are of the outermost one alone. Throws what `WarmPool.withTransaction` does.
  public func withTransaction<Result>(
    _ options: TransactionOptions = TransactionOptions(), _ body: (borrowing Lease) async throws -> Result
  ) async throws -> Result {
    try await pool.begin(loan, options)
    do {
      let result = try await body(self)
      try await pool.commit(loan)
      return result
    } catch {
      await pool.rollBack(loan)
      throw error
    }
  }
}

/// Each is one step of the innermost transaction of a lease.
extension WarmPool {
  fileprivate func begin(_ loan: Loan, _ options: TransactionOptions) async throws {
    try Task.checkCancellation()
    if loan.depth == 0 {
      switch await loan.connection.transactionStatus {
      // Begun with a statement: a BEGIN would only be warned about, and our COMMIT would end what is not ours.
      case .inTransaction, .inFailedTransaction: loan.enterForeignTransaction()
      case .idle, .active, .unknown: break
      }
    }
    let sql = loan.depth == 0 ? options.begin : "SAVEPOINT warmpool_\(loan.depth)"
    loan.enterTransaction()
    do {
      _ = try await run(on: loan) { connection throws(QueryError) in try await connection.query(sql) }
    } catch {
      loan.leaveTransaction()
      throw error
    }
  }

  /// Where it throws and the transaction or savepoint still stands, it is to be rolled back.
  fileprivate func commit(_ loan: Loan) async throws {
    try Task.checkCancellation()
    guard loan.depth == 1 else {
      let sql = "RELEASE SAVEPOINT warmpool_\(loan.depth - 1)"
      _ = try await run(on: loan) { connection throws(QueryError) in try await connection.query(sql) }
      loan.leaveTransaction()
      return
    }
    do {
      let answer = try await loan.connection.query("COMMIT")
      loan.leaveTransaction()
      if answer.command != "COMMIT" { throw PoolError(.rolledBack, pool: counts) }
    } catch let error as QueryError {
      if await loan.connection.transactionStatus != .inTransaction { loan.leaveTransaction() }
      if !error.maybeExecuted, Task.isCancelled { throw CancellationError() }
      // A COMMIT that was answered, if only with an error, has executed nothing.
      let isUnknown = error.maybeExecuted && !error.connectionUsable
      throw PoolError(
        isUnknown ? .commitUnknown : .query, fault: error.fault, maybeExecuted: isUnknown, pool: counts)
    }
  }

  /// Also for a task that is cancelled: what is left open would be seen by the caller's next statement.
  fileprivate func rollBack(_ loan: Loan) async {
    guard loan.depth > 0 else { return }
    let savepoint = loan.depth > 1 ? "warmpool_\(loan.depth - 1)" : nil
    await onLoop { pool in await pool.rollBack(loan, to: savepoint) }.value
    loan.leaveTransaction()
  }

  /// What fails here is noticed when the lease ends: the connection is then in a transaction, or of no use.
  private func rollBack(_ loan: Loan, to savepoint: String?) async {
    let connection = loan.connection
    let timer = loop.schedule(at: EventLoop.now() + Self.resetTimeout) {
      connection.assumeIsolated { $0.close() }
    }
    defer { loop.cancel(timer) }
    guard let savepoint else {
      _ = try? await connection.query("ROLLBACK")
      return
    }
    _ = try? await connection.query("ROLLBACK TO SAVEPOINT \(savepoint)")
    _ = try? await connection.query("RELEASE SAVEPOINT \(savepoint)")
  }

  private var counts: PoolCounts { core.snapshot(at: EventLoop.now()).pool }
}
