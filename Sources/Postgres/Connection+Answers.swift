import CLibpq
import PoolCore

/// What the server answers.
extension Connection {
  func handleInput(_ session: Session) {
    // Also parses notices and parameter changes of an idle session.
    while PQisBusy(session.connection) == 0, case .running(_, let statement) = state {
      if let result = PQgetResult(session.connection) {
        take(ResultMemory(result), session)
      } else if statement.pipeline?.isSynced != false {
        // Otherwise it was the end of one statement of a batch.
        finishStatement(session)
        break
      }
    }
    // Nobody can ask for notifications yet; unread they would pile up.
    while let notification = PQnotifies(session.connection) { PQfreemem(notification) }
  }

  private func take(_ memory: ResultMemory, _ session: Session) {
    guard case .running(_, let statement) = state else { return }
    switch PQresultStatus(memory.result) {
    case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY:
      statement.result = memory
      statement.pipeline?.results.append(QueryResult(memory))
    case PGRES_PIPELINE_SYNC: statement.pipeline?.isSynced = true
    case PGRES_PIPELINE_ABORTED: break
    case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
      return abandon("COPY cannot be run as a query")
    default:
      guard let code = ErrorField.sqlState.value(in: memory.result).flatMap({ SQLState($0) }) else {
        // libpq's own: the connection is lost, or it ran out of memory in the middle of an answer.
        if session.isBroken { return lost(session) }
        let text = PQresultErrorMessage(memory.result).map { String(cString: $0) } ?? ""
        return abandon(oneLine(text))
      }
      if session.lastWords.hear(memory.result) { return lost(session) }
      statement.failure = refusal(memory, code)
      // 0A000 has many causes, and the message speaks the server's language: the routine tells.
      planIsOutdated = ErrorField.routine.value(in: memory.result) == "RevalidateCachedQuery"
    }
  }

  func refusal(_ memory: ResultMemory, _ code: SQLState) -> QueryError {
    let message = oneLine(ErrorField.message.value(in: memory.result) ?? "")
    let fault = Fault(.server(code), at: .query, host: hostLabel, message: message)
    return QueryError(fault, connectionUsable: true, maybeExecuted: true)
  }

  /// A complete answer counts, also when the end of the session was read together with it.
  private func finishStatement(_ session: Session) {
    guard case .running(_, let statement) = state else { return }
    guard statement.result != nil || statement.failure != nil else { return lost(session) }
    if statement.pipeline != nil, !statement.isComplete, PQexitPipelineMode(session.connection) != 1 {
      return abandon(oneLine(session.errorMessage))
    }
    // A request to cancel that is still on its way would meet the next statement.
    statement.isComplete = true
    if statement.stop?.isUnderWay == true { return }
    state = .idle(session)
    end(statement, nil)
  }

  /// Tells the caller what was answered, if that is complete, or else `error`. With an error the connection is over.
  func end(_ statement: RunningStatement, _ error: QueryError?) {
    cancelTimers(of: statement)
    let answer: Answer
    if statement.isComplete, var failure = statement.failure {
      statement.stop?.explain(&failure)
      if error != nil { failure.connectionUsable = false }
      answer = isToBeAskedAgain(statement, failure) ? nil : .failure(failure)
    } else if statement.isComplete, let memory = statement.result {
      let result = QueryResult(memory)
      if statement.ask != nil, result.forgetsStatements { cache.forget() }
      answer = .success(result)
    } else {
      answer = .failure(error ?? unusable())
    }
    tell(statement.asker, answer)
  }

  func tell(_ asker: Asker, _ answer: Answer) {
    switch asker {
    case .task(let continuation):
      hasAnswered.store(true, ordering: .releasing)
      continuation.resume(returning: answer)
    // What it does then may end this connection, or ask it the next statement.
    case .listener(let listener): loop.post { listener.hear(answer) }
    }
  }
}
