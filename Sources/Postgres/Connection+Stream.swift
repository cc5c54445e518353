import CLibpq
import EventLoop
import PoolCore

/// A result that is read while it arrives.
///
/// `@unchecked Sendable`: touched on the loop alone.
final class RowStream: @unchecked Sendable {
  var failure: QueryError?
  /// Something of the statement itself has yet to leave.
  var hasUnsent = true
  /// The server was asked to stop, and has taken note.
  private(set) var isCancelDelivered = false
  private var waiter: UnsafeContinuation<Void, Never>?
  /// What is waited for came first.
  private var isWoken = false

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

  func cancelDelivered() {
    isCancelDelivered = true
    wake()
  }

  /// The connection is gone.
  func end(with fault: Fault) {
    failure = QueryError(fault, connectionUsable: false, maybeExecuted: true)
    wake()
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
    let isSent = try send(parameters) { count, values in
      PQsendQueryParams(session.connection, sql, count, nil, values, nil, nil, 0)
    }
    guard isSent, PQsetSingleRowMode(session.connection) == 1 else { throw refusedByLibrary(session) }
    stopWatching()
    state = .streaming(session, RowStream())
  }

  /// The next rows, at least one; nil after the last. Throws what the statement failed with, and ends it if the task is
  /// cancelled.
  public func nextRows() async throws(QueryError) -> [QueryResult.Row]? {
    guard case .streaming(let session, let stream) = state else { throw unusable() }
    while true {
      if Task.isCancelled {
        await endStream()
        throw QueryError(cancelled, connectionUsable: canTakeNext, maybeExecuted: true)
      }
      var rows: [QueryResult.Row] = []
      while rows.count < Self.batch, PQisBusy(session.connection) == 0 {
        guard let result = PQgetResult(session.connection) else {
          // What came before the end is handed over first; then we are here again.
          if !rows.isEmpty { return rows }
          finish(session)
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
      giveUp(stream, Fault(.other, at: .query, host: hostLabel, message: "COPY cannot be run as a query"))
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

  /// Ends a stream early: the server is asked to stop, and the connection is good again if it does within a second.
  public func endStream() async {
    guard case .streaming(let session, let stream) = state else { return }
    let isSent = CancelRequest.send(to: session) { [loop] isDelivered in
      // What was not delivered for certain may still arrive: then the patience below ends it.
      loop.post { if isDelivered { stream.cancelDelivered() } }
    }
    guard isSent else { return giveUp(stream, cancelled) }
    let patience = loop.schedule(at: EventLoop.now() + Self.stopPatience) {
      self.assumeIsolated { $0.giveUp(stream, $0.cancelled) }
    }
    defer { loop.cancel(patience) }
    var isRead = false
    while isCurrent(stream), !isRead || !stream.isCancelDelivered {
      while !isRead, PQisBusy(session.connection) == 0 {
        if let result = PQgetResult(session.connection) { PQclear(result) } else { isRead = true }
      }
      if isRead {
        if !stream.isCancelDelivered { await pause(stream) }
      } else {
        await arrival(session, stream, endsWithTask: false)
      }
    }
    if isCurrent(stream) { finish(session) }
  }

  private func isCurrent(_ stream: RowStream) -> Bool {
    if case .streaming(_, let current) = state { current === stream } else { false }
  }

  private var cancelled: Fault { Fault(.other, at: .query, host: hostLabel, message: "cancelled") }

  private var canTakeNext: Bool { if case .idle = state { true } else { false } }

  /// The last row has been read.
  private func finish(_ session: Session) {
    if session.isBroken || session.lastWords.code != nil { return lost(session) }
    state = .idle(session)
    if startWatching(session) != nil { lost(session) }
  }

  private func giveUp(_ stream: RowStream, _ fault: Fault) {
    guard isCurrent(stream) else { return }
    giveUp(because: fault)
    stream.end(with: fault)
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
