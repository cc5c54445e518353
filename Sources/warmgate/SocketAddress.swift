import Glibc
import PoolCore

/// An address to connect to, as the system wants it.
struct SocketAddress: Sendable {
  private let family: Int32
  private let bytes: [UInt8]

  struct ConnectError: Error {
    let code: Int32
  }

  /// Nil if the path is longer than a Unix socket's can be.
  static func unix(_ path: String) -> SocketAddress? {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let text = Array(path.utf8)
    guard text.count < MemoryLayout.size(ofValue: address.sun_path) else { return nil }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: text) }
    return SocketAddress(family: AF_UNIX, bytes: withUnsafeBytes(of: address) { Array($0) })
  }

  /// All addresses of a name or a number; empty if there is none. A name takes as long as the resolver does.
  static func resolve(_ host: String, port: UInt16) -> [SocketAddress] {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(host, String(port), &hints, &list) == 0 else { return [] }
    defer { freeaddrinfo(list) }
    var addresses: [SocketAddress] = []
    var next = list
    while let entry = next?.pointee {
      if let address = entry.ai_addr {
        let raw = UnsafeRawBufferPointer(start: address, count: Int(entry.ai_addrlen))
        addresses.append(SocketAddress(family: entry.ai_family, bytes: Array(raw)))
      }
      next = entry.ai_next
    }
    return addresses
  }

  /// A connected, non-blocking socket that the caller closes, or why there is none.
  func connect(before deadline: Instant) -> Result<Int32, ConnectError> {
    let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    let socket = Glibc.socket(family, kind, 0)
    guard socket >= 0 else { return .failure(ConnectError(code: errno)) }
    let code = finish(socket, before: deadline)
    if code == 0 { return .success(socket) }
    close(socket)
    return .failure(ConnectError(code: code))
  }

  private func finish(_ socket: Int32, before deadline: Instant) -> Int32 {
    while true {
      let done = bytes.withUnsafeBytes { raw in
        Glibc.connect(socket, raw.baseAddress?.assumingMemoryBound(to: sockaddr.self), socklen_t(raw.count))
          == 0
      }
      if done { return 0 }
      switch errno {
      case EINPROGRESS, EINTR:
        guard Moment.wait(for: socket, POLLOUT, until: deadline) else { return ETIMEDOUT }
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(socket, SOL_SOCKET, SO_ERROR, &code, &size) == 0 ? code : errno
      case EAGAIN:
        // A Unix socket whose backlog is full; there is nothing to poll for.
        guard Moment.now() < deadline else { return ETIMEDOUT }
        Moment.sleep(.milliseconds(10))
      case let code: return code
      }
    }
  }
}
