/// Hears what was answered to a statement it has asked.
package protocol AnswerListener: AnyObject, Sendable {
  /// On the connection's loop.
  func hear(_ answer: Connection.Answer)
}

/// The short way of a statement that is prepared here already: its task goes to the loop and back once. `query`, which
/// runs as this actor, takes a task from another thread there and back twice, and needs a cancellation handler for each
/// statement; here a holder needs one for all of them.
///
/// Who is on the loop already can ask for a task that waits elsewhere, and hear the answer in its place.
extension Connection {
  /// Nil if it was not executed, and is to be asked with `query`: it is not prepared, or something is in its way, which
  /// `query` will say.
  ///
  /// Whoever holds the connection stops it with `stopAsking`, should its task be cancelled.
  /// - Parameter holder: any number but 0, of this use of the connection alone.
  package nonisolated func askIfPrepared(
    _ sql: String, _ parameters: [Parameter], for holder: UInt64
  ) async -> Answer {
    let answer = await withUnsafeContinuation { continuation in
      if loop.isCurrent {
        synchronously.begin(sql, parameters, for: holder, .task(continuation))
      } else {
        loop.post { self.synchronously.begin(sql, parameters, for: holder, .task(continuation)) }
      }
    }
    _ = hasAnswered.load(ordering: .acquiring)
    return answer
  }

  /// As the other, on the loop: `listener` is told the answer there, after whatever the loop is doing.
  package nonisolated func askIfPrepared(
    _ sql: String, _ parameters: [Parameter], for holder: UInt64, telling listener: any AnswerListener
  ) {
    synchronously.begin(sql, parameters, for: holder, .listener(listener))
  }

  /// What this holder asked the short way is stopped as a cancelled statement is, and nothing more of it is asked.
  package func stopAsking(for holder: UInt64) {
    cancelledHolder = holder
    if case .running(_, let statement) = state, statement.ask?.holder == holder {
      stop(statement.number, .cancelled)
    }
  }

  func begin(_ sql: String, _ parameters: [Parameter], for holder: UInt64, _ asker: Asker) {
    if cancelledHolder != holder, case .idle(let before) = state,
      transactionStatus != .inFailedTransaction, let name = cache.name(of: sql)
    {
      readWhatCame(before)
      // What libpq refuses here it will refuse again, and then it is said why.
      if case .idle(let session) = state, (try? sendPrepared(name, parameters, session)) == true {
        planIsOutdated = false
        statements += 1
        if !Self.isOneWrite("", parameters) { heard = statements }
        let statement = RunningStatement(statements, asker)
        statement.ask = (holder, sql, name)
        state = .running(session, statement)
        return flush(session)
      }
    }
    tell(asker, nil)
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
