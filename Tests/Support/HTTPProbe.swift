import Foundation

/// What an HTTP server answered.
public struct HTTPAnswer: Sendable {
  public let version: String
  public let status: Int
  /// In the order they came, names as they were sent.
  public let headers: [(name: String, value: String)]
  public let body: String
  /// From before the connect (or, on a kept connection, before the request) to the last byte.
  public let elapsed: Duration

  /// The first header of that name, whatever its capitals.
  public subscript(header: String) -> String? {
    headers.first { $0.name.lowercased() == header.lowercased() }?.value
  }

  public var firstLine: String { String(body.prefix { !$0.isNewline }) }
}

/// An HTTP client that sends exactly the bytes it is told to, on a connection of its own for each request.
public struct HTTPProbe: Sendable {
  public let endpoint: Endpoint
  /// The network namespace to connect from.
  public let namespace: String?

  public init(_ endpoint: Endpoint, namespace: String? = nil) {
    self.endpoint = endpoint
    self.namespace = namespace
  }

  public init(port: Int) { self.init(.tcp("127.0.0.1", port)) }

  /// One request and its answer. The usual `Host` is sent unless `headers` names one, or the version is 1.0.
  public func request(
    _ method: String = "GET", _ path: String, headers: [(String, String)] = [], body: String = "",
    version: String = "1.1", within limit: Duration = .seconds(5)
  ) async throws -> HTTPAnswer {
    try await blocking {
      try self.requestBlocking(method, path, headers: headers, body: body, version: version, within: limit)
    }
  }

  /// Sends bytes as they are and returns everything that comes back until the other side closes, or the deadline.
  /// With `endSending`, says after the bytes that nothing more follows.
  public func exchange(
    _ bytes: [UInt8], endSending: Bool = false, within limit: Duration = .seconds(5)
  ) async throws -> (received: String, closed: Bool) {
    try await blocking {
      let deadline = ContinuousClock.now + limit
      let socket = try ClientSocket(endpoint, namespace: namespace, deadline: deadline)
      // An answer (431, say) may come and the connection end before all bytes are sent.
      try? socket.send(bytes, deadline: deadline)
      if endSending { socket.endSending() }
      var received: [UInt8] = []
      while let more = socket.receive(deadline: deadline) {
        if more.isEmpty { return (String(decoding: received, as: UTF8.self), true) }
        received += more
      }
      return (String(decoding: received, as: UTF8.self), false)
    }
  }

  /// A connection that is kept for several requests.
  public func connect(within limit: Duration = .seconds(5)) async throws -> HTTPConnection {
    try await blocking {
      HTTPConnection(
        try ClientSocket(endpoint, namespace: namespace, deadline: .now + limit), host: endpoint.hostHeader)
    }
  }

  /// `request` for a thread that may block.
  public func requestBlocking(
    _ method: String = "GET", _ path: String, headers: [(String, String)] = [], body: String = "",
    version: String = "1.1", within limit: Duration = .seconds(5)
  ) throws -> HTTPAnswer {
    let began = ContinuousClock.now
    let socket = try ClientSocket(endpoint, namespace: namespace, deadline: began + limit)
    return try HTTPConnection(socket, host: endpoint.hostHeader).requestBlocking(
      method, path, headers: headers + [("Connection", "close")], body: body, version: version, began: began,
      deadline: began + limit)
  }
}

/// One connection and the requests on it, one after the other.
public final class HTTPConnection: @unchecked Sendable {
  // Unchecked: used from one task at a time, as its socket.
  public let socket: ClientSocket
  private let host: String
  /// Bytes of the next answer that came with the last one.
  private var ahead: [UInt8] = []

  init(_ socket: ClientSocket, host: String) {
    self.socket = socket
    self.host = host
  }

  public func request(
    _ method: String = "GET", _ path: String, headers: [(String, String)] = [], body: String = "",
    version: String = "1.1", within limit: Duration = .seconds(5)
  ) async throws -> HTTPAnswer {
    try await blocking {
      let began = ContinuousClock.now
      return try self.requestBlocking(
        method, path, headers: headers, body: body, version: version, began: began, deadline: began + limit)
    }
  }

  /// Sends bytes as they are, without waiting for anything.
  public func send(_ bytes: [UInt8], within limit: Duration = .seconds(5)) async throws {
    try await blocking { try self.socket.send(bytes, deadline: .now + limit) }
  }

  /// Reads the next answer, for a request that `send` has sent.
  public func answer(toMethod method: String = "GET", within limit: Duration = .seconds(5)) async throws
    -> HTTPAnswer
  {
    try await blocking { try self.read(method: method, began: .now, deadline: .now + limit) }
  }

  func requestBlocking(
    _ method: String, _ path: String, headers: [(String, String)], body: String, version: String,
    began: ContinuousClock.Instant, deadline: ContinuousClock.Instant
  ) throws -> HTTPAnswer {
    var headers = headers
    if version != "1.0", !headers.contains(where: { $0.0.lowercased() == "host" }) {
      headers.insert(("Host", host), at: 0)
    }
    if !body.isEmpty || method == "POST" { headers.append(("Content-Length", String(body.utf8.count))) }
    let head = headers.map { "\($0.0): \($0.1)\r\n" }.joined()
    try socket.send(Array("\(method) \(path) HTTP/\(version)\r\n\(head)\r\n\(body)".utf8), deadline: deadline)
    return try read(method: method, began: began, deadline: deadline)
  }

  private func read(
    method: String, began: ContinuousClock.Instant, deadline: ContinuousClock.Instant
  ) throws -> HTTPAnswer {
    var bytes = ahead
    ahead = []
    let end = Array("\r\n\r\n".utf8)
    var headEnd = bytes.firstRange(of: end)
    while headEnd == nil {
      guard try more(into: &bytes, deadline) else { throw ProbeError.closed(received: text(bytes)) }
      headEnd = bytes.firstRange(of: end)
    }
    guard let headEnd else { throw ProbeError.malformed(text(bytes)) }
    let lines = text(bytes[..<headEnd.lowerBound]).components(separatedBy: "\r\n")
    let words = lines.first.map { $0.split(separator: " ", maxSplits: 2) } ?? []
    guard words.count >= 2, words[0].hasPrefix("HTTP/"), let status = Int(words[1]) else {
      throw ProbeError.malformed(text(bytes))
    }
    let headers = lines.dropFirst().compactMap { line -> (name: String, value: String)? in
      guard let colon = line.firstIndex(of: ":") else { return nil }
      return (String(line[..<colon]), line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces))
    }
    func header(_ name: String) -> String? { headers.first { $0.name.lowercased() == name }?.value }
    var body = Array(bytes[headEnd.upperBound...])
    if method == "HEAD" || status == 204 || status == 304 || (100..<200).contains(status) {
      ahead = body
      body = []
    } else if let length = header("content-length").flatMap({ Int($0) }) {
      while body.count < length {
        guard try more(into: &body, deadline) else { throw ProbeError.closed(received: text(bytes + body)) }
      }
      ahead = Array(body[length...])
      body = Array(body[..<length])
    } else {
      // Until the end of the stream; nothing here sends chunks.
      while try more(into: &body, deadline) {}
    }
    return HTTPAnswer(
      version: String(words[0].dropFirst(5)), status: status, headers: headers, body: text(body),
      elapsed: ContinuousClock.now - began)
  }

  /// False at the end of the stream.
  private func more(into bytes: inout [UInt8], _ deadline: ContinuousClock.Instant) throws -> Bool {
    guard let next = socket.receive(deadline: deadline) else {
      throw ProbeError.timedOut(received: text(bytes))
    }
    bytes += next
    return !next.isEmpty
  }

  private func text(_ bytes: some Sequence<UInt8>) -> String { String(decoding: Array(bytes), as: UTF8.self) }
}

extension Endpoint {
  var hostHeader: String {
    switch self {
    case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    case .unix: "localhost"
    }
  }
}
