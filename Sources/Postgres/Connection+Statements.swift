import CLibpq
import EventLoop
import PoolCore

/// Running a statement.
extension Connection {
  /// Runs one statement and returns all of its rows.
  ///
  /// One at a time: a second call while one runs throws without touching it. Throws also for a statement or
  /// parameter with a zero byte, and for COPY, which is not offered.
  ///
  /// When its task is cancelled, or it has no answer within `timeout`, the server is asked to stop it. Nearly always
  /// the server confirms that within milliseconds: then this throws with SQLSTATE 57014, and the connection can be
  /// used on (an open transaction has failed). If the statement ended before it could be stopped, its result is
  /// returned, or its own error thrown. Without a word from the server for `stopPatience` the connection is given up.
  ///
  /// A statement that is asked again on the same connection is prepared at the server, and prepared anew when the
  /// server has lost it or what it returns has changed; within a transaction that error is thrown, because the
  /// transaction has failed with it.
  public func query(
    _ sql: String, _ parameters: [Parameter] = [], timeout: Duration? = nil
  ) async throws(QueryError) -> QueryResult {
    let limit = timeout.map { TimeLimit(timeout: $0, deadline: EventLoop.now() + $0) }
    // A failed transaction takes nothing but its end: no DEALLOCATE to make room for a ROLLBACK that is asked again.
    let plan = transactionStatus == .inFailedTransaction ? .unnamed : cache.plan(for: sql)
    switch plan {
    case .prepared(let name): return try await askPrepared(sql, name, parameters, limit)
    case .prepare(let name, let dropped):
      if try await prepare(sql, name, dropping: dropped, limit) {
        return try await askPrepared(sql, name, parameters, limit)
      }
      return try await askUnnamed(sql, parameters, limit)
    case .unnamed: return try await askUnnamed(sql, parameters, limit)
    }
  }

  /// Asks an empty query: one round trip, and nothing for the server to do.
  public func ping() async throws(QueryError) {
    _ = try await run(nil) { session throws(QueryError) in PQsendQuery(session.connection, "") == 1 }
  }

  /// `isOneWrite`: all of it leaves this process at once, or nothing does.
  func run(
    _ limit: TimeLimit?, pipeline: Pipeline? = nil, isOneWrite: Bool = false,
    _ send: (Session) throws(QueryError) -> Bool
  ) async throws(QueryError) -> QueryResult {
    if let limit, limit.deadline <= EventLoop.now() { throw notSent("not sent within \(limit.timeout)") }
    let session = try readyForStatement()
    guard try send(session) else { throw refusedByLibrary(session) }
    statements += 1
    let number = statements
    // Of what is written in parts, one part may have left when another is refused.
    if !isOneWrite { heard = number }
    let answer = await withTaskCancellationHandler {
      await withUnsafeContinuation { continuation in
        let statement = RunningStatement(number, .task(continuation))
        statement.pipeline = pipeline
        if let limit { statement.timer = timer(for: number, limit) }
        state = .running(session, statement)
        flush(session)
      }
    } onCancel: {
      self.loop.post { self.assumeIsolated { $0.stop(number, .cancelled) } }
    }
    return try (answer ?? .failure(unusable())).get()
  }

  /// It could not be sent.
  func refusedByLibrary(_ session: Session) -> QueryError {
    // Such as more than 65,535 parameters.
    guard session.isBroken else { return notSent(oneLine(session.errorMessage)) }
    lost(session)
    // A long statement may have left in part.
    var error = unusable()
    error.maybeExecuted = true
    return error
  }

  func readyForStatement() throws(QueryError) -> Session {
    switch state {
    case .closed, .over: throw unusable()
    case .running, .streaming:
      throw notSent("another statement is running on this connection; it takes one at a time")
    case .idle(let session):
      if Task.isCancelled { throw notSent("cancelled before it was sent") }
      readWhatCame(session)
      guard case .idle = state else { throw unusable() }
      return session
    }
  }

  func notSent(_ why: String) -> QueryError {
    QueryError(
      Fault(.other, at: .query, host: hostLabel, message: why), connectionUsable: true, maybeExecuted: false)
  }

  func unusable() -> QueryError {
    let fault =
      if case .over(let fault) = state { fault } else {
        Fault(.other, at: .query, host: hostLabel, message: "the connection is closed")
      }
    return QueryError(fault, connectionUsable: false, maybeExecuted: false)
  }
}
