import EventLoop
import Glibc
import PoolCore

/// An address to connect to, as the system wants it.
struct SocketAddress: Sendable {
  private let family: Int32
  private let bytes: [UInt8]

  /// A call that failed, in the system's words.
  struct Failure: Error {
    /// `errno` of `connect`; of the resolver, one of its own codes, which are negative (getaddrinfo(3)).
    let code: Int32
    let text: String

    init(code: Int32) {
      self.code = code
      text = errorText(code)
    }

    init(resolver code: Int32) {
      self.code = code
      text = code == EAI_SYSTEM ? errorText(errno) : String(cString: gai_strerror(code))
    }

    /// There is no such name, or it has no address (-5 is EAI_NODATA, which glibc's headers hide).
    var isNameNotFound: Bool { code == EAI_NONAME || code == -5 }
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

  /// All addresses of a name or a number, at least one. Takes as long as the system's resolver does.
  static func resolve(_ host: String, port: Int) -> Result<[SocketAddress], Failure> {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(host, String(port), &hints, &list)
    guard code == 0 else { return .failure(Failure(resolver: code)) }
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
    return addresses.isEmpty ? .failure(Failure(resolver: EAI_NONAME)) : .success(addresses)
  }

  /// The IP address in numbers, without the port; empty for a Unix socket.
  var number: String {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(NI_MAXHOST)) { buffer in
      withSockaddr { address, size in
        guard family != AF_UNIX, let start = buffer.baseAddress,
          getnameinfo(address, size, start, socklen_t(buffer.count), nil, 0, NI_NUMERICHOST) == 0
        else { return "" }
        return String(cString: start)
      }
    }
  }

  /// A connected, non-blocking socket that the caller closes, or why there is none.
  func connect(before deadline: Instant) -> Result<Int32, Failure> {
    let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    let socket = Glibc.socket(family, kind, 0)
    guard socket >= 0 else { return .failure(Failure(code: errno)) }
    let code = finish(socket, before: deadline)
    if code == 0 { return .success(socket) }
    close(socket)
    return .failure(Failure(code: code))
  }

  private func finish(_ socket: Int32, before deadline: Instant) -> Int32 {
    while true {
      if withSockaddr({ Glibc.connect(socket, $0, $1) }) == 0 { return 0 }
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

  private func withSockaddr<Result>(_ body: (UnsafePointer<sockaddr>?, socklen_t) -> Result) -> Result {
    bytes.withUnsafeBytes {
      body($0.baseAddress?.assumingMemoryBound(to: sockaddr.self), socklen_t($0.count))
    }
  }
}
