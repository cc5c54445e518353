import PoolCore

/// Its end, by the server, the network, its owner, or because of what a statement left it in.
extension Connection {
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
      end(stream, with: fault)
    case .idle, .over, .closed: break
    }
    // The session, and with it the socket, ends here with its last reference.
  }

  /// The server looks at its client only between statements: without a word it would go on with this one to its end.
  private func stopOrphan(of session: Session) { _ = CancelRequest.send(to: session) { _ in } }

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
      let isRefused = statement.number == refused
      end(statement, QueryError(fault, connectionUsable: false, maybeExecuted: !isRefused))
    case .streaming(_, let stream):
      fault.step = .query
      state = .over(fault)
      end(stream, with: fault)
    case .idle, .over, .closed: state = .over(fault)
    }
    handler?(fault)
  }

  /// Ends it because nothing will come from the server any more, as far as its owner knows better than TCP. A statement
  /// that waits fails with this fault, and may have been executed. The handler of `onEnd` is not called.
  public func cut(because fault: Fault) {
    var fault = fault
    fault.host = hostLabel
    let former = state
    if isOpen { giveUp(because: fault) }
    switch former {
    case .running(_, let statement):
      end(statement, QueryError(fault, connectionUsable: false, maybeExecuted: true))
    case .streaming(_, let stream): end(stream, with: fault)
    case .idle, .over, .closed: break
    }
  }

  private func reason(of session: Session) -> Fault {
    if let code = session.lastWords.code {
      return Fault(.server(code), at: .idle, host: hostLabel, message: session.lastWords.message)
    }
    let text = session.errorMessage
    return Fault(LoginFault.network(text) ?? .closed, at: .idle, host: hostLabel, message: oneLine(text))
  }

  /// Gives the connection up because of what a statement left it in.
  func abandon(_ why: String, _ kind: Fault.Kind = .other) {
    cut(because: Fault(kind, at: .query, message: why))
  }

  func giveUp(because fault: Fault) {
    stopWatching()
    state = .over(fault)
    endHandler = nil
  }
}
