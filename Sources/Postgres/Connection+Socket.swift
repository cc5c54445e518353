import CLibpq
import EventLoop

/// The socket: watched, read and written on the loop.
extension Connection {
  func startWatching(_ session: Session) -> SystemError? {
    do throws(SystemError) {
      watch = try loop.watch(session.descriptor) { [weak self] readiness in
        self?.synchronously.socketIsReady(readiness)
      }
      return nil
    } catch { return error }
  }

  /// Before the socket is closed, which libpq does on its own when the connection is lost.
  func stopWatching() {
    watch?.cancel()
    watch = nil
  }

  func socketIsReady(_ readiness: Readiness) {
    if readiness.contains(.read) { arrivals &+= 1 }
    switch state {
    case .idle(let session): read(session)
    case .running(let session, _):
      if readiness.contains(.hangUp), heard != statements { notice(session, readiness) }
      heard = statements
      // Everything but "you may write" has its cause in what can be read.
      if readiness != .write { read(session) }
      if case .running = state { flush(session) }
    case .streaming(let session, let stream): streamIsReady(session, stream)
    case .over, .closed: break
    }
  }

  func watchForReading() { watch?.interest = .read }
  func watchForWriting() { watch?.interest = [.read, .write] }

  func flush(_ session: Session) {
    switch PQflush(session.connection) {
    case 0: watchForReading()
    case 1: watchForWriting()
    default: lost(session)
    }
  }

  func read(_ session: Session) {
    readInTurn = loop.turn
    repeat {
      guard PQconsumeInput(session.connection) == 1 else { return lost(session) }
      handleInput(session)
      guard isOpen, !session.isBroken else { break }
    } while session.hasHiddenInput
    guard isOpen else { return }
    // A session whose end the server has announced is over, though its socket may stand for a moment more.
    if session.isBroken || session.lastWords.code != nil { lost(session) }
  }

  /// Before a statement is sent: what the server has said meanwhile (that it ends this session, perhaps) is read first.
  /// Then not a byte of the statement is sent into a dead connection, and it may safely run on another. What was read
  /// in this turn of the loop is not asked for again: on its way to the server a statement meets more than that.
  func readWhatCame(_ session: Session) {
    if readInTurn != loop.turn, !isQuiet(session) { read(session) }
  }

  var isOpen: Bool {
    switch state {
    case .idle, .running, .streaming: true
    case .over, .closed: false
    }
  }
}
