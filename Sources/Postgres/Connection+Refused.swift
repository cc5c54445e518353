import CLinux
import EventLoop
import Glibc

/// Statements of which not a byte left this process, though nothing was wrong with the connection when they were sent:
/// it was reset between our look at the socket and the write. They may run elsewhere.
///
/// libpq tells nobody that a write has failed: it claims success, and reports what it reads next (`pqsecure_raw_write`).
/// But Linux gives out the error of a TCP socket once, to whoever asks first, and does not let it go otherwise. So when
/// a socket was reset and its error is not there any more, it was our write that got it, and a write that returns an
/// error has taken nothing. Between our write and this look nobody else asks: reading would, so it comes after.
///
/// Not provable, and so "may have executed": a Unix socket (its error for a write to nobody is made on the spot, and
/// leaves no trace), and a server that has closed its side in an orderly way (the kernel still takes what is written).
extension Connection {
  /// libpq hands its buffer to the kernel whenever it holds 8 KiB, so a statement up to that is one `send`, and with
  /// TLS one record. What comes with it (names, counts, formats) stays far below the other half.
  private static let oneWrite = 4096

  /// At most so many parameters, each of which takes a few bytes besides its value.
  private static let fewParameters = 100

  /// Whether libpq writes the statement at once.
  static func isOneWrite(_ sql: String, _ parameters: [Parameter]) -> Bool {
    if parameters.isEmpty { return sql.utf8.count <= oneWrite }
    guard parameters.count <= fewParameters else { return false }
    return parameters.reduce(sql.utf8.count) { $0 + $1.size } <= oneWrite
  }

  /// The socket has hung up, and nothing has been read since the statement that runs was written.
  func notice(_ session: Session, _ readiness: Readiness) {
    if !readiness.contains(.error), session.errorWasTaken { refused = statements }
  }
}

extension Session {
  /// The socket is TCP, was reset, and somebody has been told so; and all that the kernel ever took has arrived.
  fileprivate var errorWasTaken: Bool {
    var error: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    var unacknowledged: Int32 = 0
    // The state first: the error is there before it.
    return clinux_tcp_is_closed(descriptor) == 1
      && getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0
      && ioctl(descriptor, UInt(TIOCOUTQ), &unacknowledged) == 0 && unacknowledged == 0
  }
}
