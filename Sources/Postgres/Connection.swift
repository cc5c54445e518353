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
  public nonisolated let loop: EventLoop

  public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  private var state: State
  private var watch: Watch?
  private var endHandler: (@Sendable (Fault) -> Void)?
  private var statements: UInt64 = 0
  private var cache = StatementCache()
  /// The last error was that a prepared statement returns something else now.
  private var planIsOutdated = false

  private enum State {
    /// → running, over, closed
    case idle(Session)
    /// → idle, over, closed
    case running(Session, Statement)
    /// Of no use any more, by the server, the network or a cancelled statement. → closed
    case over(Fault)
    case closed
  }

  /// A statement that waits for its answer.
  private struct Statement {
    let number: UInt64
    let continuation: UnsafeContinuation<Result<QueryResult, QueryError>, Never>
    var result: ResultMemory?
    var failure: QueryError?
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

  private func startWatching(_ session: Session) -> SystemError? {
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
  /// waits fails. Does not wait; a second call does nothing.
  public func close() {
    let old = state
    state = .closed
    stopWatching()
    endHandler = nil
    if case .running(_, let statement) = old {
      let fault = Fault(
        .other, at: .query, host: hostLabel, message: "connection closed while the statement ran")
      statement.continuation.resume(
        returning: .failure(QueryError(fault, connectionUsable: false, maybeExecuted: true)))
    }
    // The session, and with it the socket, ends here with its last reference.
  }

  /// Before the socket is closed, which libpq does on its own when the connection is lost.
  private func stopWatching() {
    watch?.cancel()
    watch = nil
  }

  /// The server or the network has ended it.
  private func lost(_ session: Session) {
    var fault = reason(of: session)
    stopWatching()
    let handler = endHandler
    endHandler = nil
    if case .running(_, let statement) = state {
      fault.step = .query
      state = .over(fault)
      statement.continuation.resume(
        returning: .failure(QueryError(fault, connectionUsable: false, maybeExecuted: true)))
    } else {
      state = .over(fault)
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
    switch state {
    case .idle(let session), .running(let session, _):
      switch PQtransactionStatus(session.connection) {
      case PQTRANS_IDLE: .idle
      case PQTRANS_ACTIVE: .active
      case PQTRANS_INTRANS: .inTransaction
      case PQTRANS_INERROR: .inFailedTransaction
      default: .unknown
      }
    case .over, .closed: .unknown
    }
  }

  public enum TransactionStatus: String, Hashable, Sendable {
    case idle, active, inTransaction, inFailedTransaction, unknown
  }

  /// A look at the socket (a fraction of a microsecond): nothing to read, so nothing has ended it, as far as this
  /// machine knows. False for a connection that is over.
  public var isQuiet: Bool {
    switch state {
    case .idle(let session), .running(let session, _): isQuiet(session)
    case .over, .closed: false
    }
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
    switch state {
    case .idle(let session), .running(let session, _): session.parameterStatus(name)
    case .over, .closed: nil
    }
  }

  /// The address of this end, as PostgreSQL's `host(inet)` writes it; nil for a Unix socket, and for a connection
  /// that is over.
  public var localAddress: String? {
    switch state {
    case .idle(let session), .running(let session, _): session.localAddress
    case .over, .closed: nil
    }
  }

  /// As the server last reported: 14 and later do at the login, and with the first answer after a promotion.
  public var isInHotStandby: Bool { parameterStatus("in_hot_standby") == "on" }

  // MARK: - Statements

  /// Runs one statement and returns all of its rows.
  ///
  /// One at a time: a second call while one runs throws without touching it. Cancelling the task makes it throw at
  /// once; the server is asked to stop, and the connection is not usable any more. Throws also for a statement or
  /// parameter with a zero byte, and for COPY, which needs another call.
  ///
  /// A statement that is asked again on the same connection is prepared at the server, and prepared anew when the
  /// server has lost it or what it returns has changed; within a transaction that error is thrown, because the
  /// transaction has failed with it.
  public func query(
    _ sql: String, _ parameters: [Parameter] = []
  ) async throws(QueryError) -> QueryResult {
    let result: QueryResult
    // A failed transaction takes nothing but its end: no DEALLOCATE to make room for a ROLLBACK that is asked again.
    let plan = transactionStatus == .inFailedTransaction ? .unnamed : cache.plan(for: sql)
    switch plan {
    case .prepared(let name): result = try await askPrepared(sql, name, parameters)
    case .prepare(let name, let dropped):
      try await prepare(sql, name, dropping: dropped)
      result = try await askPrepared(sql, name, parameters)
    case .unnamed: result = try await askUnnamed(sql, parameters)
    }
    if result.forgetsStatements { cache.forget() }
    return result
  }

  private func askUnnamed(_ sql: String, _ parameters: [Parameter]) async throws(QueryError) -> QueryResult {
    try await run { session throws(QueryError) in
      guard !sql.utf8.contains(0) else { throw self.zeroByte }
      return try self.send(parameters) { count, values in
        PQsendQueryParams(session.connection, sql, count, nil, values, nil, nil, 0)
      }
    }
  }

  /// Nothing is executed here, so a failure leaves nothing in doubt.
  private func prepare(_ sql: String, _ name: String, dropping dropped: String?) async throws(QueryError) {
    do throws(QueryError) {
      if let dropped { try await deallocate(dropped) }
      _ = try await run { session throws(QueryError) in
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

  private func deallocate(_ name: String) async throws(QueryError) {
    _ = try await run { session throws(QueryError) in
      PQsendQuery(session.connection, "DEALLOCATE " + name) == 1
    }
  }

  private func askPrepared(
    _ sql: String, _ name: String, _ parameters: [Parameter]
  ) async throws(QueryError) -> QueryResult {
    planIsOutdated = false
    do throws(QueryError) {
      let result = try await run { session throws(QueryError) in
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
      if let outdated { try await deallocate(outdated) }
      return try await askUnnamed(sql, parameters)
    }
  }

  private func send(
    _ parameters: [Parameter], _ body: (Int32, UnsafePointer<UnsafePointer<CChar>?>?) -> Int32
  ) throws(QueryError) -> Bool {
    if parameters.isEmpty { return body(0, nil) == 1 }
    let texts = parameters.map(\.text)
    guard !texts.contains(where: { $0?.utf8.contains(0) == true }) else { throw zeroByte }
    return withCStrings(texts) { body(Int32(clamping: texts.count), $0) == 1 }
  }

  private var zeroByte: QueryError {
    notSent("a statement or parameter of PostgreSQL cannot hold a zero byte")
  }

  /// Asks an empty query: one round trip, and nothing for the server to do.
  public func ping() async throws(QueryError) {
    _ = try await run { session throws(QueryError) in PQsendQuery(session.connection, "") == 1 }
  }

  private func run(
    _ send: (Session) throws(QueryError) -> Bool
  ) async throws(QueryError) -> QueryResult {
    let session = try readyForStatement()
    guard try send(session) else {
      if session.isBroken {
        lost(session)
        // A long statement may have left in part.
        var error = unusable()
        error.maybeExecuted = true
        throw error
      }
      // libpq itself refused it, such as more than 65,535 parameters.
      throw notSent(oneLine(session.errorMessage))
    }
    statements += 1
    let number = statements
    let outcome = await withTaskCancellationHandler {
      await withUnsafeContinuation { continuation in
        state = .running(session, Statement(number: number, continuation: continuation))
        flush(session)
      }
    } onCancel: {
      self.loop.post { self.assumeIsolated { $0.cancelStatement(number) } }
    }
    return try outcome.get()
  }

  private func readyForStatement() throws(QueryError) -> Session {
    switch state {
    case .closed, .over: throw unusable()
    case .running: throw notSent("another statement is running on this connection; it takes one at a time")
    case .idle(let session):
      if Task.isCancelled { throw notSent("cancelled before it was sent") }
      // What the server has said meanwhile (that it ends this session, perhaps) is read first: then not a byte of
      // the statement is sent into a dead connection, and it may safely run on another.
      if !isQuiet(session) { read(session) }
      guard case .idle = state else { throw unusable() }
      return session
    }
  }

  private func notSent(_ why: String) -> QueryError {
    QueryError(
      Fault(.other, at: .query, host: hostLabel, message: why), connectionUsable: true, maybeExecuted: false)
  }

  private func unusable() -> QueryError {
    let fault =
      if case .over(let fault) = state { fault } else {
        Fault(.other, at: .query, host: hostLabel, message: "the connection is closed")
      }
    return QueryError(fault, connectionUsable: false, maybeExecuted: false)
  }

  /// Asks the server to stop the statement that runs, if one does. Unlike cancelling its task this leaves the
  /// connection in use: the statement fails with 57014, or ends otherwise, and whoever called it still hears so.
  /// The request goes its own way, so it may come too late, and then meet the statement after it.
  public func requestCancel() {
    if case .running(let session, _) = state { CancelRequest.send(to: session) }
  }

  private func cancelStatement(_ number: UInt64) {
    guard case .running(let session, let statement) = state, statement.number == number else { return }
    CancelRequest.send(to: session)
    abandon(session, statement, "cancelled")
  }

  /// Gives the connection up because of what a statement left it in.
  private func abandon(_ session: Session, _ statement: Statement, _ why: String) {
    let fault = Fault(.other, at: .query, host: hostLabel, message: why)
    stopWatching()
    state = .over(fault)
    endHandler = nil
    statement.continuation.resume(
      returning: .failure(QueryError(fault, connectionUsable: false, maybeExecuted: true)))
  }

  // MARK: - The socket

  private func socketIsReady(_ readiness: Readiness) {
    switch state {
    case .idle(let session): read(session)
    case .running(let session, _):
      // Everything but "you may write" has its cause in what can be read.
      if readiness != .write { read(session) }
      if case .running = state { flush(session) }
    case .over, .closed: break
    }
  }

  private func flush(_ session: Session) {
    switch PQflush(session.connection) {
    case 0: watch?.interest = .read
    case 1: watch?.interest = [.read, .write]
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
    case .idle, .running: true
    case .over, .closed: false
    }
  }

  private func handleInput(_ session: Session) {
    // Also parses notices and parameter changes of an idle session.
    while PQisBusy(session.connection) == 0, case .running = state {
      guard let result = PQgetResult(session.connection) else {
        finishStatement(session)
        break
      }
      take(ResultMemory(result), session)
    }
    // Nobody can ask for notifications yet; unread they would pile up.
    while let notification = PQnotifies(session.connection) { PQfreemem(notification) }
  }

  private func take(_ memory: ResultMemory, _ session: Session) {
    guard case .running(_, var statement) = state else { return }
    switch PQresultStatus(memory.result) {
    case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY:
      statement.result = memory
    case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
      return abandon(session, statement, "COPY cannot be run as a query")
    default:
      guard let code = ErrorField.sqlState.value(in: memory.result).flatMap({ SQLState($0) }) else {
        // libpq's own: the connection is lost, or it ran out of memory in the middle of an answer.
        if session.isBroken { return lost(session) }
        let text = PQresultErrorMessage(memory.result).map { String(cString: $0) } ?? ""
        return abandon(session, statement, oneLine(text))
      }
      if session.lastWords.hear(memory.result) { return lost(session) }
      let message = oneLine(ErrorField.message.value(in: memory.result) ?? "")
      let fault = Fault(.server(code), at: .query, host: hostLabel, message: message)
      statement.failure = QueryError(fault, connectionUsable: true, maybeExecuted: true)
      // 0A000 has many causes, and the message speaks the server's language: the routine tells.
      planIsOutdated = ErrorField.routine.value(in: memory.result) == "RevalidateCachedQuery"
    }
    state = .running(session, statement)
  }

  /// A complete answer counts, also when the end of the session was read together with it.
  private func finishStatement(_ session: Session) {
    guard case .running(_, let statement) = state else { return }
    if let failure = statement.failure {
      state = .idle(session)
      statement.continuation.resume(returning: .failure(failure))
    } else if let result = statement.result {
      state = .idle(session)
      statement.continuation.resume(returning: .success(QueryResult(result)))
    } else {
      lost(session)
    }
  }
}
