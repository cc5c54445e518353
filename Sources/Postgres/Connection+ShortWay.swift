import Synchronization

/// The short way of a statement that is prepared here already: its task goes to the loop and back once. `query`, which
/// runs as this actor, takes a task from another thread there and back twice.
extension Connection {
  /// Numbers the statements that go this way. They are asked one at a time, as all statements of a connection.
  struct Asks: ~Copyable, Sendable {
    let newest = Atomic<UInt64>(0)
    let cancelled = Atomic<UInt64>(0)
    /// ThreadSanitizer does not see how the runtime orders an answer that comes before it is awaited; it sees this.
    let answered = Atomic<UInt64>(0)
  }

  /// Nil if it was not executed, and is to be asked with `query`: it is not prepared, or something is in its way, which
  /// `query` will say. `isolation` is named for the same reason as in the pool's `granted`.
  package func askIfPrepared(
    _ sql: String, _ parameters: [Parameter], isolation: isolated (any Actor)? = #isolation
  ) async -> Result<QueryResult, QueryError>? {
    let number = asks.newest.wrappingAdd(1, ordering: .relaxed).newValue
    let answer = await withTaskCancellationHandler {
      _ = isolation
      return await withUnsafeContinuation { continuation in
        if loop.isCurrent {
          synchronously.begin(number, sql, parameters, continuation)
        } else {
          loop.post { self.synchronously.begin(number, sql, parameters, continuation) }
        }
      }
    } onCancel: {
      asks.cancelled.store(number, ordering: .relaxed)
      loop.post { self.assumeIsolated { $0.stopCancelled(number) } }
    }
    _ = asks.answered.load(ordering: .acquiring)
    return answer
  }

  func begin(
    _ number: UInt64, _ sql: String, _ parameters: [Parameter], _ continuation: AnswerContinuation
  ) {
    if asks.cancelled.load(ordering: .relaxed) != number, case .idle(let before) = state,
      transactionStatus != .inFailedTransaction, let name = cache.name(of: sql)
    {
      readWhatCame(before)
      // What libpq refuses here it will refuse again, and then it is said why.
      if case .idle(let session) = state, (try? sendPrepared(name, parameters, session)) == true {
        planIsOutdated = false
        statements += 1
        if !Self.isOneWrite("", parameters) { heard = statements }
        let statement = RunningStatement(statements, continuation)
        statement.ask = (number, sql, name)
        state = .running(session, statement)
        return flush(session)
      }
    }
    asks.answered.store(number, ordering: .releasing)
    continuation.resume(returning: nil)
  }

  private func stopCancelled(_ number: UInt64) {
    if case .running(_, let statement) = state, statement.ask?.number == number {
      stop(statement.number, .cancelled)
    }
  }

  /// Outside a transaction, `query` mends what the server has forgotten or found changed.
  func isToBeAskedAgain(_ statement: RunningStatement, _ failure: QueryError) -> Bool {
    guard let (_, sql, name) = statement.ask else { return false }
    let isLost = isLost(name, failure)
    guard planIsOutdated || isLost else { return false }
    if transactionStatus == .idle { return true }
    if planIsOutdated { _ = cache.outdated(sql) } else { cache.lost() }
    return false
  }
}
