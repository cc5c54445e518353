import CLibpq
import EventLoop
import Glibc
import PoolCore

/// A logged-in session, on the loop of its connector.
///
/// It is watched from the login on: when the server or the network ends it, whoever asked with `onEnd` knows within
/// a millisecond of the socket saying so, and why, if the server said why.
public actor Connection {
  /// The host of the URL that it is connected to.
  public nonisolated let host: HostID
  /// `host:port`, or the path of the Unix socket.
  public nonisolated let hostLabel: String
  /// The server's process for this session (behind a pooler, what the pooler made up).
  public nonisolated let backendPID: Int32
  /// As `150018` for 15.18.
  public nonisolated let serverVersion: Int
  /// From the start of the attempt at this host to its end: name, TCP, TLS, authentication.
  public nonisolated let loginTook: Duration
  /// The loop it lives on.
  public nonisolated let loop: EventLoop

  public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  var state: State
  private var watch: Watch?
  private var endHandler: (@Sendable (Fault) -> Void)?
  private var statements: UInt64 = 0
  private var cache = StatementCache()
  /// The last error was that a prepared statement returns something else now.
  private var planIsOutdated = false

  enum State {
    /// → running, streaming, over, closed
    case idle(Session)
    /// → idle, over, closed
    case running(Session, RunningStatement)
    /// Rows are taken a batch at a time. → idle, over, closed
    case streaming(Session, RowStream)
    /// Of no use any more, by the server, the network or a cancelled statement. → closed
    case over(Fault)
    case closed
  }

  /// A statement that waits for its answer.
  struct RunningStatement {
    let number: UInt64
    let continuation: UnsafeContinuation<Result<QueryResult, QueryError>, Never>
    var result: ResultMemory?
    var failure: QueryError?
    /// Set for a batch; then `result` is the last one.
    var pipeline: Pipeline?
    /// The server is ready for the next one.
    var isComplete = false
    /// Stops it when its time is up.
    var timer: TimerToken?
    /// The server was asked to stop it.
    var stop: Stop?
  }

  /// The session, as long as there is one.
  private var session: Session? {
    switch state {
    case .idle(let session), .running(let session, _), .streaming(let session, _): session
    case .over, .closed: nil
    }
  }

  /// Takes over a session that has just logged in. On the loop.
  static func open(
    _ session: Session, host: Host, on loop: EventLoop, took: Duration
  ) throws(Fault) -> Connection {
    let connection = Connection(session, host: host, on: loop, took: took)
    if let failure = connection.assumeIsolated({ $0.startWatching(session) }) {
      throw Fault(.other, at: .session, host: host.label, message: failure.description)
    }
    return connection
  }

  private init(_ session: Session, host: Host, on loop: EventLoop, took: Duration) {
    self.host = host.id
    hostLabel = host.label
    backendPID = session.backendPID
    serverVersion = session.serverVersion
    loginTook = took
    self.loop = loop
    state = .idle(session)
  }

  isolated deinit { close() }

  func startWatching(_ session: Session) -> SystemError? {
    do throws(SystemError) {
      watch = try loop.watch(session.descriptor) { [weak self] readiness in
        self?.assumeIsolated { $0.socketIsReady(readiness) }
      }
      return nil
    } catch { return error }
  }

  // MARK: - Its end

  /// Calls `handler` once, on the loop, when the server or the network ends the connection, whether a statement is
  /// running or not (then the statement fails first); at once if that has happened already. Not for `close()`, nor
  /// for a statement that was cancelled. There is one handler: a second replaces the first.
  ///
  /// The fault's step is `idle`, or `query` if a statement was under way.
  public func onEnd(_ handler: @escaping @Sendable (Fault) -> Void) {
    if case .over(let fault) = state { return loop.post { handler(fault) } }
    endHandler = handler
  }

  /// Ends the session, with Terminate if it still stands, so that the server logs nothing unusual. A statement that
  /// waits fails, and the server is asked to stop it. Does not wait; a second call does nothing.
  public func close() {
    let old = state
    state = .closed
    stopWatching()
    endHandler = nil
    let fault = Fault(
      .other, at: .query, host: hostLabel, message: "connection closed while the statement ran")
    switch old {
    case .running(let session, let statement):
      stopOrphan(of: session)
      end(statement, QueryError(fault, connectionUsable: false, maybeExecuted: true))
    case .streaming(let session, let stream):
      stopOrphan(of: session)
      stream.end(with: fault)
    case .idle, .over, .closed: break
    }
    // The session, and with it the socket, ends here with its last reference.
  }

  /// The server looks at its client only between statements: without a word it would go on with this one to its end.
  private func stopOrphan(of session: Session) { _ = CancelRequest.send(to: session) { _ in } }

  /// Before the socket is closed, which libpq does on its own when the connection is lost.
  func stopWatching() {
    watch?.cancel()
    watch = nil
  }

  /// The server or the network has ended it.
  func lost(_ session: Session) {
    var fault = reason(of: session)
    stopWatching()
    let handler = endHandler
    endHandler = nil
    switch state {
    case .running(_, let statement):
      fault.step = .query
      state = .over(fault)
      end(statement, QueryError(fault, connectionUsable: false, maybeExecuted: true))
    case .streaming(_, let stream):
      fault.step = .query
      state = .over(fault)
      stream.end(with: fault)
    case .idle, .over, .closed: state = .over(fault)
    }
    handler?(fault)
  }

  private func reason(of session: Session) -> Fault {
    if let code = session.lastWords.code {
      return Fault(.server(code), at: .idle, host: hostLabel, message: session.lastWords.message)
    }
    let text = session.errorMessage
    return Fault(LoginFault.network(text) ?? .closed, at: .idle, host: hostLabel, message: oneLine(text))
  }

  // MARK: - What it knows without asking

  /// Where the session stands in a transaction. `unknown` for a connection that is over.
  public var transactionStatus: TransactionStatus {
    guard let session else { return .unknown }
    return switch PQtransactionStatus(session.connection) {
    case PQTRANS_IDLE: .idle
    case PQTRANS_ACTIVE: .active
    case PQTRANS_INTRANS: .inTransaction
    case PQTRANS_INERROR: .inFailedTransaction
    default: .unknown
    }
  }

  /// Where a session stands in a transaction.
  public enum TransactionStatus: String, Hashable, Sendable {
    /// In none.
    case idle
    /// A statement is running.
    case active
    /// In one, and the next statement belongs to it.
    case inTransaction
    /// In one that has failed: only its end, or the way back to a savepoint, is accepted.
    case inFailedTransaction
    /// The connection is over.
    case unknown
  }

  /// A look at the socket (a fraction of a microsecond): nothing to read, so nothing has ended it, as far as this
  /// machine knows. False for a connection that is over.
  public var isQuiet: Bool {
    session.map(isQuiet) ?? false
  }

  /// Reads what has arrived on an idle connection: then it is known whether it goes on. True if it does.
  public func isStanding() -> Bool {
    if case .idle(let session) = state, !isQuiet(session) { read(session) }
    return isOpen
  }

  private func isQuiet(_ session: Session) -> Bool {
    var descriptor = pollfd(fd: session.descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&descriptor, 1, 0) == 0
  }

  /// What the server has reported about itself (PostgreSQL manual, 34.2 "PQparameterStatus"), such as
  /// `server_encoding`; nil if it reports no such thing, or the connection is over.
  public func parameterStatus(_ name: String) -> String? {
    session?.parameterStatus(name)
  }

  /// The address of this end, as PostgreSQL's `host(inet)` writes it; nil for a Unix socket, and for a connection
  /// that is over.
  public var localAddress: String? {
    session?.localAddress
  }

  /// As the server last reported: 14 and later do at the login, and with the first answer after a promotion.
  public var isInHotStandby: Bool { parameterStatus("in_hot_standby") == "on" }

  // MARK: - Statements

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
    let result: QueryResult
    // A failed transaction takes nothing but its end: no DEALLOCATE to make room for a ROLLBACK that is asked again.
    let plan = transactionStatus == .inFailedTransaction ? .unnamed : cache.plan(for: sql)
    switch plan {
    case .prepared(let name): result = try await askPrepared(sql, name, parameters, limit)
    case .prepare(let name, let dropped):
      try await prepare(sql, name, dropping: dropped, limit)
      result = try await askPrepared(sql, name, parameters, limit)
    case .unnamed: result = try await askUnnamed(sql, parameters, limit)
    }
    if result.forgetsStatements { cache.forget() }
    return result
  }

  private func askUnnamed(
    _ sql: String, _ parameters: [Parameter], _ limit: TimeLimit? = nil
  ) async throws(QueryError) -> QueryResult {
    try await run(limit) { session throws(QueryError) in
      guard !sql.utf8.contains(0) else { throw self.zeroByte }
      return try self.send(parameters) { count, values in
        PQsendQueryParams(session.connection, sql, count, nil, values, nil, nil, 0)
      }
    }
  }

  /// Nothing is executed here, so a failure leaves nothing in doubt.
  private func prepare(
    _ sql: String, _ name: String, dropping dropped: String?, _ limit: TimeLimit? = nil
  ) async throws(QueryError) {
    do throws(QueryError) {
      if let dropped { try await deallocate(dropped, limit) }
      _ = try await run(limit) { session throws(QueryError) in
        PQsendPrepare(session.connection, name, sql, 0, nil) == 1
      }
    } catch {
      var error = error
      // A refusal is the server's word on the statement itself.
      if !error.connectionUsable { error.maybeExecuted = false }
      throw error
    }
    cache.prepared(sql, as: name)
  }

  private func deallocate(_ name: String, _ limit: TimeLimit?) async throws(QueryError) {
    _ = try await run(limit) { session throws(QueryError) in
      PQsendQuery(session.connection, "DEALLOCATE " + name) == 1
    }
  }

  private func askPrepared(
    _ sql: String, _ name: String, _ parameters: [Parameter], _ limit: TimeLimit? = nil
  ) async throws(QueryError) -> QueryResult {
    planIsOutdated = false
    do throws(QueryError) {
      let result = try await run(limit) { session throws(QueryError) in
        try self.send(parameters) { count, values in
          // Passed as it is, the name would be copied into an array first.
          name.withCString { PQsendQueryPrepared(session.connection, $0, count, values, nil, nil, 0) }
        }
      }
      cache.worked()
      return result
    } catch {
      // The server knows the statement no more, or its result has changed its shape since. Either is found before
      // it is executed, so outside a transaction, which the error has ended, it may be asked again.
      let outdated: String?
      if planIsOutdated {
        outdated = cache.outdated(sql)
      } else if case .server(.unknownStatementName) = error.fault.kind, error.fault.message.contains(name) {
        cache.lost()
        outdated = nil
      } else {
        throw error
      }
      guard transactionStatus == .idle else { throw error }
      if let outdated { try await deallocate(outdated, limit) }
      return try await askUnnamed(sql, parameters, limit)
    }
  }

  func send(
    _ parameters: [Parameter], _ body: (Int32, UnsafePointer<UnsafePointer<CChar>?>?) -> Int32
  ) throws(QueryError) -> Bool {
    if parameters.isEmpty { return body(0, nil) == 1 }
    let texts = parameters.map(\.text)
    guard !texts.contains(where: { $0?.utf8.contains(0) == true }) else { throw zeroByte }
    return withCStrings(texts) { body(Int32(clamping: texts.count), $0) == 1 }
  }

  var zeroByte: QueryError {
    notSent("a statement or parameter of PostgreSQL cannot hold a zero byte")
  }

  /// Asks an empty query: one round trip, and nothing for the server to do.
  public func ping() async throws(QueryError) {
    _ = try await run(nil) { session throws(QueryError) in PQsendQuery(session.connection, "") == 1 }
  }

  func run(
    _ limit: TimeLimit?, pipeline: Pipeline? = nil, _ send: (Session) throws(QueryError) -> Bool
  ) async throws(QueryError) -> QueryResult {
    if let limit, limit.deadline <= EventLoop.now() { throw notSent("not sent within \(limit.timeout)") }
    let session = try readyForStatement()
    guard try send(session) else { throw refusedByLibrary(session) }
    statements += 1
    let number = statements
    let outcome = await withTaskCancellationHandler {
      await withUnsafeContinuation { continuation in
        var statement = RunningStatement(number: number, continuation: continuation)
        statement.pipeline = pipeline
        if let limit { statement.timer = timer(for: number, limit) }
        state = .running(session, statement)
        flush(session)
      }
    } onCancel: {
      self.loop.post { self.assumeIsolated { $0.stop(number, .cancelled) } }
    }
    return try outcome.get()
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
      // What the server has said meanwhile (that it ends this session, perhaps) is read first: then not a byte of
      // the statement is sent into a dead connection, and it may safely run on another.
      if !isQuiet(session) { read(session) }
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

  /// Gives the connection up because of what a statement left it in.
  func abandon(_ statement: RunningStatement, _ why: String, _ kind: Fault.Kind = .other) {
    let fault = Fault(kind, at: .query, host: hostLabel, message: why)
    giveUp(because: fault)
    end(statement, QueryError(fault, connectionUsable: false, maybeExecuted: true))
  }

  func giveUp(because fault: Fault) {
    stopWatching()
    state = .over(fault)
    endHandler = nil
  }

  // MARK: - The socket

  private func socketIsReady(_ readiness: Readiness) {
    switch state {
    case .idle(let session): read(session)
    case .running(let session, _):
      // Everything but "you may write" has its cause in what can be read.
      if readiness != .write { read(session) }
      if case .running = state { flush(session) }
    case .streaming(let session, let stream): streamIsReady(session, stream)
    case .over, .closed: break
    }
  }

  func watchForReading() { watch?.interest = .read }
  func watchForWriting() { watch?.interest = [.read, .write] }

  private func flush(_ session: Session) {
    switch PQflush(session.connection) {
    case 0: watchForReading()
    case 1: watchForWriting()
    default: lost(session)
    }
  }

  private func read(_ session: Session) {
    repeat {
      guard PQconsumeInput(session.connection) == 1 else { return lost(session) }
      handleInput(session)
      guard isOpen, !session.isBroken else { break }
    } while session.hasHiddenInput
    guard isOpen else { return }
    // A session whose end the server has announced is over, though its socket may stand for a moment more.
    if session.isBroken || session.lastWords.code != nil { lost(session) }
  }

  private var isOpen: Bool {
    switch state {
    case .idle, .running, .streaming: true
    case .over, .closed: false
    }
  }

  private func handleInput(_ session: Session) {
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
    guard case .running(_, var statement) = state else { return }
    switch PQresultStatus(memory.result) {
    case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY:
      statement.result = memory
      statement.pipeline?.results.append(QueryResult(memory))
    case PGRES_PIPELINE_SYNC: statement.pipeline?.isSynced = true
    case PGRES_PIPELINE_ABORTED: break
    case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
      return abandon(statement, "COPY cannot be run as a query")
    default:
      guard let code = ErrorField.sqlState.value(in: memory.result).flatMap({ SQLState($0) }) else {
        // libpq's own: the connection is lost, or it ran out of memory in the middle of an answer.
        if session.isBroken { return lost(session) }
        let text = PQresultErrorMessage(memory.result).map { String(cString: $0) } ?? ""
        return abandon(statement, oneLine(text))
      }
      if session.lastWords.hear(memory.result) { return lost(session) }
      statement.failure = refusal(memory, code)
      // 0A000 has many causes, and the message speaks the server's language: the routine tells.
      planIsOutdated = ErrorField.routine.value(in: memory.result) == "RevalidateCachedQuery"
    }
    state = .running(session, statement)
  }

  func refusal(_ memory: ResultMemory, _ code: SQLState) -> QueryError {
    let message = oneLine(ErrorField.message.value(in: memory.result) ?? "")
    let fault = Fault(.server(code), at: .query, host: hostLabel, message: message)
    return QueryError(fault, connectionUsable: true, maybeExecuted: true)
  }

  /// A complete answer counts, also when the end of the session was read together with it.
  private func finishStatement(_ session: Session) {
    guard case .running(_, var statement) = state else { return }
    guard statement.result != nil || statement.failure != nil else { return lost(session) }
    if statement.pipeline != nil, !statement.isComplete, PQexitPipelineMode(session.connection) != 1 {
      return abandon(statement, oneLine(session.errorMessage))
    }
    // A request to cancel that is still on its way would meet the next statement.
    if statement.stop?.isUnderWay == true {
      statement.isComplete = true
      state = .running(session, statement)
      return
    }
    statement.isComplete = true
    state = .idle(session)
    end(statement, nil)
  }

  /// Tells the caller what was answered, if that is complete, or else `error`. With an error the connection is over.
  func end(_ statement: RunningStatement, _ error: QueryError?) {
    cancelTimers(of: statement)
    let outcome: Result<QueryResult, QueryError>
    if statement.isComplete, var failure = statement.failure {
      statement.stop?.explain(&failure)
      if error != nil { failure.connectionUsable = false }
      outcome = .failure(failure)
    } else if statement.isComplete, let result = statement.result {
      outcome = .success(QueryResult(result))
    } else {
      outcome = .failure(error ?? unusable())
    }
    statement.continuation.resume(returning: outcome)
  }
}
