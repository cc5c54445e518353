import CLibpq
import CLinux
import Glibc
import Synchronization

/// Asks a server to cancel what a session is running, on a thread of its own, because `PQcancel` blocks.
///
/// Nobody waits for it. It ends at the session's `tcp_user_timeout` (10 s by default) if packets vanish, but a server
/// that is stopped holds it as long as it is; so at most four are under way, and the next one is not sent: then the
/// server notices that the connection has gone when the statement ends.
enum CancelRequest {
  private static let limit = 4
  private static let underWay = Atomic<Int>(0)

  static func send(to session: Session) {
    guard let request = PQgetCancel(session.connection) else { return }
    guard underWay.add(1, ordering: .relaxed).newValue <= limit,
      DetachedThread.start(sendCancelRequest, UnsafeMutableRawPointer(request)) == 0
    else {
      underWay.subtract(1, ordering: .relaxed)
      return PQfreeCancel(request)
    }
  }

  fileprivate static func ended() { underWay.subtract(1, ordering: .relaxed) }
}

/// Named and free of isolation: it runs on a thread that Swift did not make.
private func sendCancelRequest(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  clinux_name_thread("cancel")
  guard let argument else { return nil }
  let request = OpaquePointer(argument)
  withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { complaint in
    // Whether it arrived cannot be told from whether it helped: the session is given up in any case.
    _ = PQcancel(request, complaint.baseAddress, Int32(complaint.count))
  }
  PQfreeCancel(request)
  CancelRequest.ended()
  return nil
}
