import EventLoop
import Glibc
import PoolCore

/// Asks a sidecar one question over a connection of its own (HTTP/1.1, `Connection: close`), waiting in `poll`:
/// an exec probe runs every few seconds and must not start a thread for it.
struct HTTPClient: Sendable {
  var address: SidecarAddress
  /// The admin listener takes requests to a number only, whoever's name led there.
  var hidesName = false

  enum Failure: Error, Hashable, Sendable {
    /// Nobody is there: refused, no such socket, no such host, no way to it.
    case nothingListens(String)
    /// Somebody is there, and it does not work.
    case failed(String)

    var text: String {
      switch self {
      case .nothingListens(let text), .failed(let text): text
      }
    }

    /// The exit code that scripts tell the two apart by.
    var exitCode: Int32 {
      switch self {
      case .nothingListens: 3
      case .failed: 1
      }
    }
  }

  static let connectTimeout: Duration = .seconds(3)

  /// `within` bounds the whole exchange, nil not at all once connected. `tick` is called about four times a second
  /// while waiting for the answer.
  func ask(
    _ method: String, _ path: String, headers: [(name: String, value: String)] = [], within limit: Duration?,
    tick: () -> Void = {}
  ) throws(Failure) -> HTTPResponse {
    let start = Moment.now()
    let deadline = limit.map { start + $0 } ?? .distantFuture
    let (socket, number) = try connect(before: min(deadline, start + Self.connectTimeout))
    defer { close(socket) }
    let host = address.hostHeader(number: hidesName ? number : nil)
    var request = "\(method) \(address.target(path)) HTTP/1.1\r\nHost: \(host)\r\n"
    request += "User-Agent: warmgate/\(Warmgate.version)\r\nConnection: close\r\n"
    if method == "POST" { request += "Content-Length: 0\r\n" }
    for header in headers { request += "\(header.name): \(header.value)\r\n" }
    try send(Array((request + "\r\n").utf8), to: socket, before: deadline)
    return try receive(from: socket, before: deadline, tick: tick)
  }

  /// The socket, and the address that it is connected to.
  private func connect(before deadline: Instant) throws(Failure) -> (Int32, number: String) {
    let targets = try targets()
    var failure = SocketAddress.Failure(code: ENOENT)
    for (index, target) in targets.enumerated() {
      // A silent first address leaves time for the others.
      let share = (deadline - Moment.now()).scaled(by: 1 / Double(targets.count - index))
      switch target.connect(before: Moment.now() + share) {
      case .success(let socket): return (socket, target.number)
      case .failure(let error): failure = error
      }
    }
    throw describe(failure.code)
  }

  private func targets() throws(Failure) -> [SocketAddress] {
    switch address.kind {
    case .unix(let path): return SocketAddress.unix(path).map { [$0] } ?? []
    case .tcp(let hosts, let port):
      var targets: [SocketAddress] = []
      for host in hosts {
        switch SocketAddress.resolve(host, port: Int(port)) {
        case .success(let addresses): targets += addresses
        case .failure(let error):
          throw .nothingListens("\(address.text): the host name cannot be resolved: \(error.text)")
        }
      }
      return targets
    }
  }

  private func describe(_ code: Int32) -> Failure {
    switch code {
    case ECONNREFUSED, ENOENT:
      .nothingListens("nothing listens at \(address.text): is warmgate serve running?")
    case ETIMEDOUT: .nothingListens("\(address.text) does not answer: no connection in time")
    case EHOSTUNREACH, ENETUNREACH, EADDRNOTAVAIL:
      .nothingListens("\(address.text) cannot be reached: \(errorText(code))")
    default: .failed("\(address.text): connecting failed: \(errorText(code))")
    }
  }

  private func send(_ request: [UInt8], to socket: Int32, before deadline: Instant) throws(Failure) {
    var rest = request[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      if count > 0 {
        rest = rest.dropFirst(count)
      } else if errno == EAGAIN {
        guard Moment.wait(for: socket, POLLOUT, until: deadline) else { throw noAnswer() }
      } else if errno != EINTR {
        // It may have answered before it closed; reading will tell.
        return
      }
    }
  }

  private func receive(
    from socket: Int32, before deadline: Instant, tick: () -> Void
  ) throws(Failure) -> HTTPResponse {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 16 * 1024)
    while true {
      let count = buffer.withUnsafeMutableBytes { recv(socket, $0.baseAddress, $0.count, 0) }
      if count < 0, errno == EINTR { continue }
      if count < 0, errno == EAGAIN {
        let now = Moment.now()
        guard now < deadline else { throw noAnswer() }
        _ = Moment.wait(for: socket, POLLIN, until: min(deadline, now + .milliseconds(250)))
        tick()
        continue
      }
      if count < 0 { throw .failed("\(address.text): the connection broke: \(errorText(errno))") }
      bytes += buffer[..<count]
      do {
        if let response = try HTTPResponse.read(bytes, ended: count == 0) { return response }
      } catch {
        throw .failed("\(address.text): the answer is not usable: \(error.why)")
      }
    }
  }

  private func noAnswer() -> Failure {
    .failed("\(address.text) has accepted the connection and does not answer")
  }
}
