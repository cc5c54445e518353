import Glibc
import Testing

@testable import Health

/// A socket and the bytes that go over it: no HTTP library may smooth over what the server does.
final class RawClient {
  struct Broken: Error { var what: String }

  let descriptor: Int32
  private var buffer: [UInt8] = []

  /// Reading and writing give up after this long, so that a failing test ends.
  init(_ address: ListenAddress, patience: Int = 10) throws {
    if let path = address.unixPath {
      var name = sockaddr_un()
      name.sun_family = sa_family_t(AF_UNIX)
      withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
      descriptor = try RawClient.connect(AF_UNIX, name)
    } else if case .ipv6(let host, let port) = address.kind, host != "::" {
      var name = sockaddr_in6()
      name.sin6_family = sa_family_t(AF_INET6)
      name.sin6_port = port.bigEndian
      inet_pton(AF_INET6, host, &name.sin6_addr)
      descriptor = try RawClient.connect(AF_INET6, name)
    } else {
      var name = sockaddr_in()
      name.sin_family = sa_family_t(AF_INET)
      name.sin_port = try #require(address.port).bigEndian
      name.sin_addr = in_addr(s_addr: UInt32(0x7F00_0001).bigEndian)
      descriptor = try RawClient.connect(AF_INET, name)
    }
    var time = timeval(tv_sec: patience, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
  }

  private static func connect<Name>(_ family: Int32, _ name: Name) throws -> Int32 {
    let descriptor = socket(family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw Broken(what: "socket: errno \(errno)") }
    let result = withUnsafeBytes(of: name) { bytes in
      bytes.withMemoryRebound(to: sockaddr.self) {
        Glibc.connect(descriptor, $0.baseAddress, socklen_t(bytes.count))
      }
    }
    guard result == 0 else {
      let code = errno
      close(descriptor)
      throw Broken(what: "connect: \(String(cString: strerror(code)))")
    }
    return descriptor
  }

  deinit { close(descriptor) }

  func send(_ bytes: [UInt8]) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { throw Broken(what: "send: errno \(errno)") }
      rest = rest.dropFirst(count)
    }
  }

  func send(_ text: String) throws { try send(Array(text.utf8)) }

  /// False at the end of what the other side sends (or when it resets).
  private func fill() throws -> Bool {
    var bytes = [UInt8](repeating: 0, count: 65536)
    let count = recv(descriptor, &bytes, bytes.count, 0)
    if count < 0 && errno == ECONNRESET { return false }
    guard count >= 0 else { throw Broken(what: "no answer: errno \(errno)") }
    buffer += bytes[..<count]
    return count > 0
  }

  /// One response; `hasBody` is false for the answer to HEAD.
  func receive(hasBody: Bool = true) throws -> RawResponse {
    let end = Array("\r\n\r\n".utf8)
    var head: Int?
    repeat {
      head = buffer.indices.first { buffer[$0...].starts(with: end) }
      if head == nil, try !fill() {
        throw Broken(what: "closed after \(String(decoding: buffer, as: UTF8.self))")
      }
    } while head == nil
    let lines = String(decoding: buffer[..<head!], as: UTF8.self).split(separator: "\r\n").map(String.init)
    buffer.removeFirst(head! + end.count)
    var response = RawResponse(statusLine: lines[0])
    for line in lines.dropFirst() {
      let sides = line.split(separator: ":", maxSplits: 1).map(String.init)
      response.headers.append((sides[0], sides.count > 1 ? String(sides[1].drop { $0 == " " }) : ""))
    }
    guard hasBody, response.status != 100, response.status != 204 else { return response }
    let length = try #require(Int(response["Content-Length"] ?? ""), "no Content-Length in \(lines)")
    while buffer.count < length {
      if try !fill() { throw Broken(what: "closed in the body") }
    }
    response.body = String(decoding: buffer[..<length], as: UTF8.self)
    buffer.removeFirst(length)
    return response
  }

  /// True once the server has ended the connection without another byte.
  func isEnded() throws -> Bool {
    while try fill() {}
    return true
  }

  /// What is sent next; empty at the end.
  func next() throws -> [UInt8] {
    if buffer.isEmpty { _ = try fill() }
    defer { buffer = [] }
    return buffer
  }

  /// All that is sent until the end.
  func rest() throws -> [UInt8] {
    while try fill() {}
    defer { buffer = [] }
    return buffer
  }

  /// The system ends the connection with a reset when it is closed.
  func resetOnClose() {
    var linger = Glibc.linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
  }

  func closeWriting() { shutdown(descriptor, Int32(SHUT_WR)) }

  /// A request line and headers; `HTTP/1.1` and a Host unless told otherwise.
  func ask(
    _ method: String, _ target: String, version: String = "HTTP/1.1", host: String? = "127.0.0.1",
    headers: [String] = [], body: String? = nil
  ) throws -> RawResponse {
    var text = "\(method) \(target) \(version)\r\n"
    if let host { text += "Host: \(host)\r\n" }
    for header in headers { text += header + "\r\n" }
    if let body { text += "Content-Length: \(body.utf8.count)\r\n" }
    try send(text + "\r\n" + (body ?? ""))
    return try receive(hasBody: method != "HEAD")
  }
}

struct RawResponse {
  var statusLine: String
  var headers: [(name: String, value: String)] = []
  var body = ""

  var status: Int { statusLine.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0 }
  subscript(name: String) -> String? { headers.first { $0.name.isEqualIgnoringCase(to: name) }?.value }
}
