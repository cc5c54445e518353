import CSupport
import Foundation

/// Where a server listens.
public enum Endpoint: Hashable, Sendable {
  /// A numeric address, of either family.
  case tcp(String, Int)
  case unix(String)
}

/// Why there was no answer, told apart because tests assert on it.
public enum ProbeError: Error, Hashable, Sendable {
  /// Nothing listens there.
  case refused
  /// The deadline passed, with what had arrived until then.
  case timedOut(received: String)
  /// The other side ended the connection before a whole answer, with what had arrived until then.
  case closed(received: String)
  case malformed(String)
  case system(String)
}

/// A blocking client socket on which nothing outlasts its deadline. Not for several threads at once.
public final class ClientSocket: @unchecked Sendable {
  // Unchecked: the descriptor is fixed from init to deinit; callers use one socket from one task at a time.
  private let descriptor: Int32

  /// Connects. With a namespace, the socket belongs to that network namespace.
  public init(_ endpoint: Endpoint, namespace: String? = nil, deadline: ContinuousClock.Instant)
    throws(ProbeError)
  {
    let isUnix = if case .unix = endpoint { true } else { false }
    let isIPv6 = if case .tcp(let host, _) = endpoint { host.contains(":") } else { false }
    let family = isUnix ? AF_UNIX : isIPv6 ? AF_INET6 : AF_INET
    let made = try inNetworkNamespace(namespace) { () throws(ProbeError) in
      let made = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
      guard made >= 0 else { throw .system("socket: \(errnoText())") }
      return made
    }
    descriptor = made
    Descriptors.closeOnExec(made)
    let status =
      switch endpoint {
      case .tcp(let host, let port): connect(made, host, port)
      case .unix(let path): connect(made, path)
      }
    var failure = status == 0 ? 0 : errno
    if failure == EINPROGRESS {
      guard poll(for: POLLOUT, until: deadline) else { throw .timedOut(received: "") }
      var size = socklen_t(MemoryLayout<Int32>.size)
      getsockopt(made, SOL_SOCKET, SO_ERROR, &failure, &size)
    }
    switch failure {
    case 0: return
    case ECONNREFUSED, ENOENT: throw .refused
    default: throw .system("connect: \(errnoText(failure))")
    }
  }

  deinit { close(descriptor) }

  /// Sends all bytes.
  public func send(_ bytes: [UInt8], deadline: ContinuousClock.Instant) throws(ProbeError) {
    var sent = 0
    while sent < bytes.count {
      let count = bytes[sent...].withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      if count > 0 {
        sent += count
      } else if errno == EAGAIN {
        guard poll(for: POLLOUT, until: deadline) else { throw .timedOut(received: "") }
      } else if errno != EINTR {
        throw .closed(received: "")
      }
    }
  }

  /// The next bytes; empty at the end of the stream, nil when the deadline passes first. A reset is an end.
  public func receive(upTo limit: Int = 65_536, deadline: ContinuousClock.Instant) -> [UInt8]? {
    var buffer = [UInt8](repeating: 0, count: limit)
    while true {
      let count = recv(descriptor, &buffer, limit, 0)
      if count >= 0 { return Array(buffer[..<count]) }
      if errno == EINTR { continue }
      if errno != EAGAIN { return [] }
      guard poll(for: POLLIN, until: deadline) else { return nil }
    }
  }

  /// Says that nothing more will be sent, and goes on receiving.
  public func endSending() { shutdown(descriptor, Int32(SHUT_WR)) }

  private func poll(for event: Int32, until deadline: ContinuousClock.Instant) -> Bool {
    var request = pollfd(fd: descriptor, events: Int16(event), revents: 0)
    while true {
      let left = deadline - ContinuousClock.now
      guard left > .zero else { return false }
      let count = Glibc.poll(&request, 1, Int32(clamping: left.milliseconds + 1))
      if count > 0 { return true }
      if count < 0, errno != EINTR { return false }
    }
  }
}

private func connect(_ descriptor: Int32, _ host: String, _ port: Int) -> Int32 {
  if host.contains(":") {
    var address = sockaddr_in6()
    address.sin6_family = sa_family_t(AF_INET6)
    address.sin6_port = in_port_t(port).bigEndian
    inet_pton(AF_INET6, host, &address.sin6_addr)
    return connect(descriptor, &address, MemoryLayout<sockaddr_in6>.size)
  }
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_port = in_port_t(port).bigEndian
  inet_pton(AF_INET, host, &address.sin_addr)
  return connect(descriptor, &address, MemoryLayout<sockaddr_in>.size)
}

private func connect(_ descriptor: Int32, _ path: String) -> Int32 {
  var address = sockaddr_un()
  address.sun_family = sa_family_t(AF_UNIX)
  withUnsafeMutableBytes(of: &address.sun_path) { space in
    for (index, byte) in path.utf8.prefix(space.count - 1).enumerated() { space[index] = byte }
  }
  return connect(descriptor, &address, MemoryLayout<sockaddr_un>.size)
}

private func connect(_ descriptor: Int32, _ address: UnsafeRawPointer, _ size: Int) -> Int32 {
  Glibc.connect(descriptor, address.assumingMemoryBound(to: sockaddr.self), socklen_t(size))
}

/// A thread is moved for the time of one system call: a socket belongs to the namespace it was made in.
func inNetworkNamespace<Result>(
  _ name: String?, _ body: () throws(ProbeError) -> Result
) throws(ProbeError) -> Result {
  guard let name else { return try body() }
  let home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
  let away = open("/run/netns/\(name)", O_RDONLY | O_CLOEXEC)
  defer {
    close(home)
    close(away)
  }
  let failure = support_enter_network_namespace(away)
  guard failure == 0 else { throw .system("namespace \(name): \(errnoText(failure))") }
  defer { _ = support_enter_network_namespace(home) }
  return try body()
}
