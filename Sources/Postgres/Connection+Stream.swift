import CLibpq
import EventLoop
import PoolCore

/// A result that is read while it arrives.
///
/// `@unchecked Sendable`: touched on the loop alone.
final class RowStream: @unchecked Sendable {
  /// Among the statements of its connection.
  let number: UInt64
  var failure: QueryError?
  /// Something of the statement itself has yet to leave.
  var hasUnsent = true
  /// The server is ready for the next statement.
  var isRead = false
  /// The server was asked to stop it.
  var stop: Connection.Stop?
  private var waiter: UnsafeContinuation<Void, Never>?
  /// What is waited for came first.
  private var isWoken = false

  init(number: UInt64) { self.number = number }

  /// May wake for nothing.
  func wait(_ continuation: UnsafeContinuation<Void, Never>) {
    if isWoken { continuation.resume() } else { waiter = continuation }
    isWoken = false
  }

  func wake() {
    isWoken = waiter == nil
    waiter?.resume()
    waiter = nil
  }

}

/// Large results in constant memory: while nobody asks for rows the socket is not read, so that the server waits.
extension Connection {
  /// Rows handed over at once.
  private static let batch = 128

  /// Begins a statement whose rows are then taken with `nextRows`. Until the last one is taken, or `endStream`, the
  /// connection takes no other.
  public func beginStream(_ sql: String, _ parameters: [Parameter]) throws(QueryError) {
    guard !sql.utf8.contains(0) else { throw zeroByte }
    let session = try readyForStatement()
    let isSent = try send(parameters) { count, values, lengths, formats in
      PQsendQueryParams(session.connection, sql, count, nil, values, lengths, formats, 0)
    }
    guard isSent, PQsetSingleRowMode(session.connection) == 1 else { throw refusedByLibrary(session) }
    stopWatching()
    isRowByRow = true
    statements += 1
    state = .streaming(session, RowStream(number: statements))
  }

  /// The next rows, at least one; nil after the last, and when no stream was begun. Throws what the statement failed
  /// with, and ends it if the task is cancelled.
  public func nextRows() async throws(QueryError) -> [QueryResult.Row]? {
    if case .idle = state { return nil }
    guard case .streaming(let session, let stream) = state else { throw unusable() }
    while true {
      if Task.isCancelled {
        await endStream()
        let fault = Fault(.other, at: .query, host: hostLabel, message: "cancelled")
        throw QueryError(fault, connectionUsable: canTakeNext, maybeExecuted: true)
      }
      var rows: [QueryResult.Row] = []
      while rows.count < Self.batch, PQisBusy(session.connection) == 0 {
        guard let result = PQgetResult(session.connection) else {
          // What came before the end is handed over first; then we are here again.
          if !rows.isEmpty { return rows }
          stream.isRead = true
          await settle(session, stream)
          if let failure = stream.failure { throw failure }
          return nil
        }
        if let row = take(ResultMemory(result), session, stream) { rows.append(row) }
        if let failure = stream.failure, !failure.connectionUsable { throw failure }
      }
      if !rows.isEmpty { return rows }
      await arrival(session, stream, endsWithTask: true)
      if let failure = stream.failure, !failure.connectionUsable { throw failure }
    }
  }

  private func take(_ memory: ResultMemory, _ session: Session, _ stream: RowStream) -> QueryResult.Row? {
    switch PQresultStatus(memory.result) {
    case PGRES_SINGLE_TUPLE: return QueryResult(memory).rows.first
    case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY: return nil
    case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
      abandon("COPY cannot be run as a query")
    default:
      guard let code = ErrorField.sqlState.value(in: memory.result).flatMap({ SQLState($0) }),
        !session.lastWords.hear(memory.result)
      else {
        lost(session)
        return nil
      }
      stream.failure = refusal(memory, code)
    }
    return nil
  }

  /// Ends a stream early: the server is asked to stop, and the connection is good again if it does within
  /// `stopPatience`. What comes before that is read and dropped.
  public func endStream() async {
    guard case .streaming(let session, let stream) = state else { return }
    stop(stream.number, .cancelled)
    while isCurrent(stream), !stream.isRead {
      while !stream.isRead, PQisBusy(session.connection) == 0 {
        if let result = PQgetResult(session.connection) { PQclear(result) } else { stream.isRead = true }
      }
      if !stream.isRead { await arrival(session, stream, endsWithTask: false) }
    }
    await settle(session, stream)
  }

  /// Everything has been read. A request to cancel that is still on its way would meet the next statement.
  private func settle(_ session: Session, _ stream: RowStream) async {
    while isCurrent(stream), stream.stop?.isUnderWay == true { await pause(stream) }
    if isCurrent(stream) { finish(session, stream) }
  }

  private func isCurrent(_ stream: RowStream) -> Bool {
    if case .streaming(_, let current) = state { current === stream } else { false }
  }

  private var canTakeNext: Bool { if case .idle = state { true } else { false } }

  private func finish(_ session: Session, _ stream: RowStream) {
    if let stop = stream.stop { cancelTimers(of: stop) }
    if session.isBroken || session.lastWords.code != nil { return lost(session) }
    state = .idle(session)
    if startWatching(session) != nil { lost(session) }
  }

  /// The connection is gone.
  func end(_ stream: RowStream, with fault: Fault) {
    if let stop = stream.stop { cancelTimers(of: stop) }
    stream.failure = QueryError(fault, connectionUsable: false, maybeExecuted: true)
    stream.wake()
  }

  /// Waits until the socket has something, and reads it; or until the task is cancelled.
  private func arrival(_ session: Session, _ stream: RowStream, endsWithTask: Bool) async {
    guard startWatching(session) == nil else { return lost(session) }
    if stream.hasUnsent { sendRest(session, stream) }
    guard isCurrent(stream) else { return }
    if endsWithTask {
      await withTaskCancellationHandler {
        await pause(stream)
      } onCancel: {
        // Woken, it looks whether it is cancelled.
        loop.post { stream.wake() }
      }
    } else {
      await pause(stream)
    }
    stopWatching()
  }

  /// A method, because a closure that does not capture the actor would run outside of it.
  private func pause(_ stream: RowStream) async {
    await withUnsafeContinuation { continuation in
      assert(loop.isCurrent, "a stream is waited for on the loop")
      stream.wait(continuation)
    }
  }

  func streamIsReady(_ session: Session, _ stream: RowStream) {
    if stream.hasUnsent { sendRest(session, stream) }
    guard isCurrent(stream) else { return }
    guard PQconsumeInput(session.connection) == 1 else { return lost(session) }
    // With TLS, libpq may hold bytes that no socket will announce.
    while session.hasHiddenInput {
      guard PQconsumeInput(session.connection) == 1 else { return lost(session) }
    }
    if PQisBusy(session.connection) == 0 {
      // What has come is taken before more is read: behind the server's last words is the end of the connection.
      stopWatching()
      stream.wake()
    }
  }

  private func sendRest(_ session: Session, _ stream: RowStream) {
    switch PQflush(session.connection) {
    case 0: stream.hasUnsent = false
    case 1: watchForWriting()
    default: return lost(session)
    }
    if !stream.hasUnsent { watchForReading() }
  }
}
