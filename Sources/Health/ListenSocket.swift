import CMicrohttpd
import Glibc

/// A bound, listening, non-blocking socket. Whoever owns it calls `close`.
struct ListenSocket: Sendable {
  let descriptor: Int32
  /// The actual address: port 0 is resolved.
  let address: ListenAddress
  private let unixFile: FileIdentity?

  /// What the system refused, and its errno.
  struct Failure: Error {
    var code: Int32
    var step: String

    init(_ step: String, code: Int32 = errno) {
      self.step = step
      self.code = code
    }

    /// The machine lacks the address's family, so that the next address in a list is worth a try.
    var isMissingFamily: Bool { code == EAFNOSUPPORT || code == EADDRNOTAVAIL || code == EPFNOSUPPORT }
  }

  /// Connections that the kernel completes before we accept them; it caps this at net.core.somaxconn.
  private static let backlog: Int32 = 1024

  init(_ address: ListenAddress) throws(Failure) {
    switch address.kind {
    case .ipv4(let text, let port):
      guard case .v4(let ip)? = IPAddress(text) else { throw Failure("reading the address", code: EINVAL) }
      try self.init(ipv4: in_addr(ip), text: text, port: port)
    case .ipv6(let text, let port):
      guard case .v6(let high, let low)? = IPAddress(text) else {
        throw Failure("reading the address", code: EINVAL)
      }
      try self.init(ipv6: in6_addr(high, low), text: text, port: port)
    case .any(let port):
      do throws(Failure) {
        try self.init(ipv6: in6addr_any, text: "::", port: port)
      } catch {
        guard error.isMissingFamily else { throw error }
        try self.init(ipv4: in_addr(s_addr: 0), text: "0.0.0.0", port: port)
      }
    case .unix(let path): try self.init(unix: path)
    }
  }

  private init(ipv4 ip: in_addr, text: String, port: UInt16) throws(Failure) {
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_port = port.bigEndian
    name.sin_addr = ip
    let descriptor = try Self.open(AF_INET)
    try Self.bindAndListen(descriptor, name)
    self.init(descriptor, .ipv4(address: text, port: try Self.port(of: descriptor)))
  }

  private init(ipv6 ip: in6_addr, text: String, port: UInt16) throws(Failure) {
    var name = sockaddr_in6()
    name.sin6_family = sa_family_t(AF_INET6)
    name.sin6_port = port.bigEndian
    name.sin6_addr = ip
    let descriptor = try Self.open(AF_INET6)
    // Said aloud, because the machine's default can be changed: `::` means both IP families here.
    Self.set(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, 0)
    try Self.bindAndListen(descriptor, name)
    self.init(descriptor, .ipv6(address: text, port: try Self.port(of: descriptor)))
  }

  private init(unix path: String) throws(Failure) {
    let descriptor = try Self.open(AF_UNIX)
    // Linux gives the file the mode of the socket (unix(7) does not say so, net/unix/af_unix.c does), so there is
    // no moment in which somebody else could connect. A umask would be one for the whole process.
    guard fchmod(descriptor, 0o600) == 0 else { throw Self.closing(descriptor, Failure("fchmod")) }
    let name = Self.unixName(path)
    do throws(Failure) {
      try Self.bindAndListen(descriptor, name, closesOnFailure: false)
    } catch {
      guard error.code == EADDRINUSE else { throw Self.closing(descriptor, error) }
      do throws(Failure) {
        try Self.removeStaleSocket(path, name)
        try Self.bindAndListen(descriptor, name, closesOnFailure: false)
      } catch {
        throw Self.closing(descriptor, error)
      }
    }
    self.init(descriptor, .unix(path: path), unixFile: FileIdentity(ofSocketAt: path))
  }

  private init(_ descriptor: Int32, _ kind: ListenAddress.Kind, unixFile: FileIdentity? = nil) {
    self.descriptor = descriptor
    self.address = ListenAddress(kind)
    self.unixFile = unixFile
  }

  /// Closes it, and removes the file of a Unix socket unless somebody else's has taken its place.
  func close() {
    Glibc.close(descriptor)
    if let path = address.unixPath, let unixFile, FileIdentity(ofSocketAt: path) == unixFile { unlink(path) }
  }

  // MARK: - Clients

  /// What came of looking for a client.
  enum Arrival {
    /// A connected, non-blocking socket that the caller closes, and where the client is.
    case client(Int32, sockaddr_storage, socklen_t)
    case nobody
    /// It has gone already (accept(2) lists what Linux passes on); the next one may not have.
    case gone
    /// The process or the machine has no descriptor or memory left.
    case exhausted
  }

  /// Connections accepted before those there are have their turn: a crowd at the door must not starve who is inside.
  static let acceptedAtOnce = 32
  /// How long no connection is accepted after the process ran out of descriptors or memory.
  static let pauseWithoutResources: Duration = .milliseconds(50)

  /// Does not wait.
  func accept() -> Arrival {
    var name = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let client = withUnsafeMutableBytes(of: &name) { bytes in
      bytes.withMemoryRebound(to: sockaddr.self) { warmgate_accept(descriptor, $0.baseAddress, &length) }
    }
    if client >= 0 { return .client(client, name, length) }
    switch errno {
    case EMFILE, ENFILE, ENOBUFS, ENOMEM: return .exhausted
    case EAGAIN: return .nobody
    default: return .gone
    }
  }

  // MARK: - System calls

  private static func open(_ family: Int32) throws(Failure) -> Int32 {
    let descriptor = warmgate_stream_socket(family)
    if descriptor < 0 { throw Failure("socket") }
    // A restart must not wait for the connections of the process before it (TIME_WAIT).
    if family != AF_UNIX { set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1) }
    return descriptor
  }

  private static func bindAndListen<Name>(
    _ descriptor: Int32, _ name: Name, closesOnFailure: Bool = true
  ) throws(Failure) {
    let bound = withUnsafeBytes(of: name) { bytes in
      bytes.withMemoryRebound(to: sockaddr.self) { bind(descriptor, $0.baseAddress, socklen_t(bytes.count)) }
    }
    let failure = bound != 0 ? Failure("bind") : listen(descriptor, backlog) != 0 ? Failure("listen") : nil
    guard let failure else { return }
    throw closesOnFailure ? closing(descriptor, failure) : failure
  }

  private static func closing(_ descriptor: Int32, _ failure: Failure) -> Failure {
    Glibc.close(descriptor)
    return failure
  }

  private static func port(of descriptor: Int32) throws(Failure) -> UInt16 {
    var name = sockaddr_in6()
    var length = socklen_t(MemoryLayout<sockaddr_in6>.size)
    let result = withUnsafeMutableBytes(of: &name) { bytes in
      bytes.withMemoryRebound(to: sockaddr.self) { getsockname(descriptor, $0.baseAddress, &length) }
    }
    guard result == 0 else { throw closing(descriptor, Failure("getsockname")) }
    // The port is at the same place in both families.
    return UInt16(bigEndian: name.sin6_port)
  }

  @discardableResult
  private static func set(_ descriptor: Int32, _ level: some BinaryInteger, _ option: Int32, _ value: Int32)
    -> Bool
  {
    var value = value
    return setsockopt(descriptor, Int32(level), option, &value, socklen_t(MemoryLayout<Int32>.size)) == 0
  }

  /// `path` fits: `ListenAddress` has seen to it. What would not is cut off, never written past the end.
  private static func unixName(_ path: String) -> sockaddr_un {
    var name = sockaddr_un()
    name.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &name.sun_path) { space in
      space.copyBytes(from: path.utf8.prefix(space.count - 1))
    }
    return name
  }

  /// Removes a socket that nobody answers on. Throws EADDRINUSE if somebody does, EEXIST if it is no socket.
  private static func removeStaleSocket(_ path: String, _ name: sockaddr_un) throws(Failure) {
    guard let file = FileIdentity(ofSocketAt: path) else { throw Failure("bind", code: EEXIST) }
    let probe = try open(AF_UNIX)
    let connected = withUnsafeBytes(of: name) { bytes in
      bytes.withMemoryRebound(to: sockaddr.self) { connect(probe, $0.baseAddress, socklen_t(bytes.count)) }
    }
    let code = errno
    Glibc.close(probe)
    // Only a refusal says that nobody listens; a full backlog (EAGAIN) is somebody.
    guard connected != 0, code == ECONNREFUSED else { throw Failure("bind", code: EADDRINUSE) }
    // Not one that another process has put there meanwhile.
    guard FileIdentity(ofSocketAt: path) == file else { throw Failure("bind", code: EADDRINUSE) }
    unlink(path)
  }
}

/// Which file a path names at this moment.
private struct FileIdentity: Hashable, Sendable {
  var device: dev_t
  var inode: ino_t

  /// Nil if there is none, or it is not a socket.
  init?(ofSocketAt path: String) {
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return nil }
    device = status.st_dev
    inode = status.st_ino
  }
}
