import CLibpq
import CLinux
import Glibc
import Synchronization

/// Asks a server to cancel what a session is running, on a thread of its own, because `PQcancel` blocks.
///
/// It ends at the session's `tcp_user_timeout` (10 s by default) if packets vanish, but a server that is stopped holds
/// it as long as it is; so at most four are under way, and the next one is not sent: then the server notices that the
/// connection has gone when the statement ends.
enum CancelRequest {
  private static let limit = 4
  private static let underWay = Atomic<Int>(0)

  /// False if it is not sent. Otherwise calls `ended` once, on its thread; true is certain: the server has signalled
  /// the session, which libpq knows by the server's closing the connection that the request came on.
  static func send(to session: Session, _ ended: @escaping @Sendable (Bool) -> Void) -> Bool {
    guard let request = PQgetCancel(session.connection) else { return false }
    let errand = Unmanaged.passRetained(Errand(request, ended))
    guard underWay.add(1, ordering: .relaxed).newValue <= limit,
      DetachedThread.start(sendCancelRequest, errand.toOpaque()) == 0
    else {
      underWay.subtract(1, ordering: .relaxed)
      errand.release()
      return false
    }
    return true
  }

  fileprivate static func ended() { underWay.subtract(1, ordering: .relaxed) }
}

/// Handed from the loop to the request's thread.
private final class Errand {
  let request: OpaquePointer
  let ended: @Sendable (Bool) -> Void

  init(_ request: OpaquePointer, _ ended: @escaping @Sendable (Bool) -> Void) {
    self.request = request
    self.ended = ended
  }

  deinit { PQfreeCancel(request) }
}

/// Named and free of isolation: it runs on a thread that Swift did not make.
private func sendCancelRequest(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  clinux_name_thread("cancel")
  guard let argument else { return nil }
  // libpq sends without asking to be spared it, and a service that uses the pool may not ignore it.
  var brokenPipe = sigset_t()
  sigemptyset(&brokenPipe)
  sigaddset(&brokenPipe, SIGPIPE)
  pthread_sigmask(SIG_BLOCK, &brokenPipe, nil)
  let errand = Unmanaged<Errand>.fromOpaque(argument).takeRetainedValue()
  let isDelivered = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { complaint in
    PQcancel(errand.request, complaint.baseAddress, Int32(complaint.count)) == 1
  }
  CancelRequest.ended()
  errand.ended(isDelivered)
  return nil
}
