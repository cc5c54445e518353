import Foundation
import Support

/// Clients that no server wants, on threads of their own. What they find out is returned, not judged.
enum AbuseClients {
  /// Both ends of some thousand connections need descriptors; the sidecar inherits the limit.
  static let canOpenThousands: Bool = {
    var files = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &files)
    files.rlim_cur = files.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &files)
    return files.rlim_cur >= 8192
  }()

  static let request = Array("GET /ready HTTP/1.1\r\nHost: x\r\n\r\n".utf8)

  /// Connections that do nothing any more: every other one has asked once, and has not read the answer.
  static func idle(_ count: Int, at probe: HTTPProbe) async throws -> [ClientSocket] {
    try await blocking {
      let deadline = ContinuousClock.now + .seconds(60)
      return try (0..<count).map { index in
        let socket = try ClientSocket(probe.endpoint, deadline: deadline)
        if index % 2 == 0 { try? socket.send(request, deadline: deadline) }
        return socket
      }
    }
  }

  /// The same number of connections, those that the server has ended replaced by new ones, but at most `limit` of them:
  /// a crowd that holds on, not one that storms the door again and again.
  static func kept(_ sockets: [ClientSocket], replacing limit: Int, at probe: HTTPProbe) async throws
    -> [ClientSocket]
  {
    let ended = await blocking { sockets.indices.filter { isEnded(sockets[$0]) }.prefix(limit) }
    var sockets = sockets
    for (index, socket) in zip(ended, try await idle(ended.count, at: probe)) { sockets[index] = socket }
    return sockets
  }

  /// Asks on each of `count` connections `questions` times, ten times a second, and takes all answers. Returns how many
  /// were a yes.
  static func steady(_ count: Int, everyTenthFor questions: Int, at probe: HTTPProbe) async throws -> Int {
    try await blocking {
      let deadline = ContinuousClock.now + .seconds(60)
      let sockets = try (0..<count).map { _ in try ClientSocket(probe.endpoint, deadline: deadline) }
      let yes = Array("HTTP/1.1 200 OK\r\n".utf8)
      let began = ContinuousClock.now
      var answers = 0
      for question in 0..<questions {
        let early = began + .milliseconds(100 * question) - ContinuousClock.now
        if early > .zero { usleep(UInt32(clamping: early.components.attoseconds / 1_000_000_000_000)) }
        for socket in sockets { try socket.send(request, deadline: deadline) }
        for socket in sockets {
          // An answer this short comes whole.
          let answer = socket.receive(deadline: deadline) ?? []
          if answer.starts(with: yes), answer.suffix(6).elementsEqual("ready\n".utf8) { answers += 1 }
        }
      }
      return answers
    }
  }

  /// Sends one byte a second on each of `count` connections, a request that never ends, until the server has cut them
  /// all. Returns when each was cut after its connect; nil for those that were not within `limit`.
  static func slow(_ count: Int, at probe: HTTPProbe, within limit: Duration) async throws -> [Duration?] {
    try await blocking {
      let bytes = Array("GET /ready?\(String(repeating: "a", count: 200))".utf8)
      let began = ContinuousClock.now
      let sockets = try (0..<count).map { _ in
        (socket: try ClientSocket(probe.endpoint, deadline: began + limit), since: ContinuousClock.now)
      }
      var ends = [Duration?](repeating: nil, count: count)
      var sent = 0
      while ContinuousClock.now - began < limit, ends.contains(where: { $0 == nil }) {
        let sends = ContinuousClock.now - began >= .seconds(sent)
        for (index, (socket, since)) in sockets.enumerated() where ends[index] == nil {
          var ended = isEnded(socket)
          if !ended, sends {
            do {
              try socket.send([bytes[sent % bytes.count]], deadline: .now + .seconds(1))
            } catch { ended = true }
          }
          if ended { ends[index] = ContinuousClock.now - since }
        }
        if sends { sent += 1 }
        usleep(50_000)
      }
      return ends
    }
  }

  /// Bytes that are not HTTP, some of them in the guise of it, from `count` clients at once. Returns how many
  /// connections the server did not end.
  static func noise(_ count: Int, seed: UInt64, at probe: HTTPProbe) async throws -> Int {
    var random = AbuseRandom(state: seed)
    return try await withThrowingTaskGroup { group in
      for _ in 0..<count {
        var bytes = (0..<Int.random(in: 1...3000, using: &random)).map { _ in
          UInt8.random(in: 0...255, using: &random)
        }
        if Bool.random(using: &random) { bytes = Array("GET /ready HTTP/1.1\r\n".utf8) + bytes }
        if Bool.random(using: &random) { bytes += Array("\r\n\r\n".utf8) }
        group.addTask { [bytes] in
          try await probe.exchange(bytes, endSending: true, within: .seconds(30)).closed
        }
      }
      return try await group.reduce(0) { $0 + ($1 ? 0 : 1) }
    }
  }

  /// 64 KiB of headers: in one, in many, and as a path. Returns the status lines.
  static func bigHeads(at probe: HTTPProbe) async throws -> [String] {
    let filler = String(repeating: "a", count: 65_536)
    let many = (0..<4096).map { "X\($0): aaaaaaaa\r\n" }.joined()
    var answers: [String] = []
    for head in [
      "GET /ready HTTP/1.1\r\nHost: x\r\nX: \(filler)\r\n\r\n",
      "GET /ready HTTP/1.1\r\nHost: x\r\n\(many)\r\n",
      "GET /\(filler) HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
      let (received, closed) = try await probe.exchange(Array(head.utf8), within: .seconds(30))
      answers.append(closed ? String(received.prefix { !$0.isNewline }) : "still open")
    }
    return answers
  }

  /// How many answers `count` requests get that are sent at once, by a client that says it will send no more.
  static func pipelined(_ count: Int, at probe: HTTPProbe) async throws -> Int {
    let bytes = Array(repeatElement(request, count: count).joined())
    let (received, closed) = try await probe.exchange(bytes, endSending: true, within: .seconds(30))
    return closed ? received.components(separatedBy: "HTTP/1.1 200 OK").count - 1 : -1
  }

  /// Clients that close one direction: with a request before, with half a one, and with nothing. Returns what each got.
  static func halfClosed(at probe: HTTPProbe) async throws -> [String] {
    var answers: [String] = []
    for bytes in [request, Array(request.prefix(10)), []] {
      let (received, closed) = try await probe.exchange(bytes, endSending: true, within: .seconds(30))
      answers.append(closed ? String(received.prefix { !$0.isNewline }) : "still open")
    }
    return answers
  }

  /// Asks often and reads nothing. The connection is open until it is let go of.
  static func deaf(at probe: HTTPProbe) async throws -> ClientSocket {
    try await blocking {
      let socket = try ClientSocket(probe.endpoint, deadline: .now + .seconds(20))
      try? socket.send(
        Array(repeatElement(request, count: 200).joined()), deadline: .now + .milliseconds(100))
      return socket
    }
  }

  private static func isEnded(_ socket: ClientSocket) -> Bool {
    while let bytes = socket.receive(deadline: .now) {
      if bytes.isEmpty { return true }
    }
    return false
  }
}

/// SplitMix64: the same noise from the same seed.
struct AbuseRandom: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
