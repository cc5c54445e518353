import Foundation
import Glibc
import PoolCore
import Testing

@testable import Health

@Suite("Clients that misbehave")
struct AbuseTests {
  private func limits(connections: Int = 1000, arrival: Duration = .seconds(5)) -> ListenLimits {
    var limits = ListenLimits(connections: connections)
    limits.arrival = arrival
    return limits
  }

  @Test("the defaults are the promised ones")
  func defaults() {
    #expect(ListenLimits.health().arrival == .seconds(5))
    #expect(ListenLimits.admin().arrival == .seconds(5))
    #expect(ListenLimits.health().connections >= 32)
  }

  @Test("bytes that are not HTTP end the connection, and nothing else", arguments: 0..<20)
  func noise(seed: UInt64) throws {
    let fixture = try HealthFixture(limits: limits(arrival: .milliseconds(100)))
    defer { fixture.server.stop() }
    var random = Seeded(state: seed)
    for _ in 0..<10 {
      let client = try fixture.client()
      var bytes = (0..<Int.random(in: 1...3000, using: &random)).map { _ in
        UInt8.random(in: 0...255, using: &random)
      }
      if Bool.random(using: &random) { bytes = Array("GET /ready HTTP/1.1\r\n".utf8) + bytes }
      if Bool.random(using: &random) { bytes += Array("\r\n\r\n".utf8) }
      // It may be cut while we still send.
      try? client.send(bytes)
      client.closeWriting()
      #expect(try client.isEnded(), "seed \(seed)")
    }
    #expect(try fixture.client().ask("GET", "/ready").status == 200)
  }

  @Test(
    "odd requests are refused or answered, never fatal",
    arguments: [
      "\r\n\r\n\r\n", "GET\r\n\r\n", "GET /ready\r\n\r\n", "GET /ready HTTP/9.9\r\n\r\n",
      "GET  HTTP/1.1\r\n\r\n",
      " GET /ready HTTP/1.1\r\n\r\n", "GET /ready HTTP/1.1\r\nHost\r\n\r\n",
      "GET /ready HTTP/1.1\r\n: x\r\n\r\n",
      "GET /ready?%zz&=&&a=%&%00=%00 HTTP/1.1\r\n\r\n", "GET /\u{FF}\u{FE} HTTP/1.1\r\n\r\n",
      "GET /ready HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
      "GET /ready HTTP/1.1\r\nContent-Length: 1e9\r\n\r\n",
      "GET /ready HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
      "GET /ready HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n",
      "GET /ready HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      "GET /ready HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}",
      "GET /ready HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
    ])
  func odd(request: String) throws {
    let fixture = try HealthFixture(limits: limits(arrival: .milliseconds(100)))
    defer { fixture.server.stop() }
    let client = try fixture.client()
    try client.send(request)
    client.closeWriting()
    #expect(try client.isEnded())
    #expect(try fixture.client().ask("GET", "/ready").status == 200)
  }

  @Test("64 KiB of headers are refused")
  func bigHeaders() throws {
    let fixture = try HealthFixture(limits: limits(arrival: .milliseconds(100)))
    defer { fixture.server.stop() }
    for filler in [
      "X: " + String(repeating: "a", count: 65_536) + "\r\n",
      (0..<4096).map { "X\($0): aaaaaaaa\r\n" }.joined(),
    ] {
      let client = try fixture.client()
      try? client.send("GET /ready HTTP/1.1\r\nHost: x\r\n" + filler + "\r\n")
      // Either its answer arrives, or our unread bytes make the system reset the connection.
      if let response = try? client.receive() { #expect([413, 431, 400].contains(response.status)) }
      #expect(try client.isEnded())
    }
    let long = try fixture.client()
    try? long.send("GET /" + String(repeating: "a", count: 65_536) + " HTTP/1.1\r\n\r\n")
    if let response = try? long.receive() { #expect(response.status == 414) }
    #expect(try fixture.client().ask("GET", "/ready").status == 200)
  }

  @Test("8 KiB of headers are fine: some proxies add that much")
  func fairHeaders() throws {
    let fixture = try HealthFixture()
    defer { fixture.server.stop() }
    let text = String(repeating: "a", count: 8000)
    #expect(try fixture.client().ask("GET", "/ready", headers: ["X-Long: " + text]).status == 200)
    let cookie = "Cookie: a=" + text.prefix(4000)
    #expect(try fixture.client().ask("GET", "/ready", headers: [cookie]).status == 200)
    let admin = try AdminFixture()
    #expect(try admin.client().ask("GET", "/status", headers: ["Cookie: a=" + text]).status == 200)
  }

  @Test("pipelined requests are answered in order")
  func pipelining() throws {
    let fixture = try HealthFixture()
    defer { fixture.server.stop() }
    let client = try fixture.client()
    let paths = (0..<300).map { ["/ready", "/live", "/startup", "/none"][$0 % 4] }
    try client.send(paths.map { "GET \($0) HTTP/1.1\r\nHost: x\r\n\r\n" }.joined())
    for path in paths {
      let expected = ["/ready": "ready\n", "/live": "alive\n", "/startup": "started\n"]
      let response = try client.receive()
      #expect(response.status == (path == "/none" ? 404 : 200))
      if let body = expected[path] { #expect(response.body == body) }
    }
  }

  @Test("pipelined requests are answered to the last one, although their client has ended its sending side")
  func pipeliningHalfClosed() throws {
    let fixture = try HealthFixture()
    defer { fixture.server.stop() }
    let client = try fixture.client()
    // More than the library reads at once.
    try client.send(String(repeating: "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n", count: 400))
    client.closeWriting()
    for _ in 0..<400 { #expect(try client.receive().status == 200) }
    #expect(try client.isEnded())
  }

  @Test("a request in single bytes is answered if it is in time")
  func fragments() throws {
    let fixture = try HealthFixture()
    defer { fixture.server.stop() }
    let client = try fixture.client()
    for byte in "GET /ready?verbose HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n".utf8 {
      try client.send([byte])
    }
    #expect(try client.receive().status == 200)
  }

  @Test("half-closed clients get their answer")
  func halfClosed() throws {
    let fixture = try HealthFixture()
    defer { fixture.server.stop() }
    let client = try fixture.client()
    try client.send("GET /ready HTTP/1.1\r\nHost: x\r\n\r\n")
    client.closeWriting()
    #expect(try client.receive().status == 200)
    #expect(try client.isEnded())
    let silent = try fixture.client()
    silent.closeWriting()
    #expect(try silent.isEnded())
  }

  @Test("clients that reset, or ask and never read, do not disturb others")
  func rude() throws {
    let fixture = try HealthFixture()
    defer { fixture.server.stop() }
    for _ in 0..<200 {
      let client = try fixture.client()
      client.resetOnClose()
      try client.send("GET /ready HTTP/1.1\r\nHost: x\r\n\r\nGET /re")
    }
    let deaf = try fixture.client()
    setsockopt_receiveBuffer(deaf.descriptor, 1)
    try deaf.send(String(repeating: "GET /ready?format=json HTTP/1.1\r\nHost: x\r\n\r\n", count: 200))
    #expect(try fixture.client().ask("GET", "/ready").status == 200)
  }

  private func setsockopt_receiveBuffer(_ descriptor: Int32, _ size: Int32) {
    var size = size
    setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
  }

  /// Sends a byte every 10 ms until the server ends the connection.
  private func dribble(_ client: RawClient, _ text: String) throws {
    var bytes = text.utf8.makeIterator()
    try poll("being cut") {
      if let byte = bytes.next() {
        guard (try? client.send([byte])) != nil else { return true }
      }
      usleep(10_000)
      var byte: UInt8 = 0
      let count = recv(client.descriptor, &byte, 1, Int32(MSG_DONTWAIT | MSG_PEEK))
      return count == 0 || (count < 0 && errno == ECONNRESET)
    }
  }

  @Test("a request that takes too long to arrive is cut, although bytes keep coming")
  func slowRequest() throws {
    let fixture = try HealthFixture(limits: limits(arrival: .milliseconds(200)))
    defer { fixture.server.stop() }
    let head = "GET /ready HTTP/1.1\r\nHost: x\r\n"
    try dribble(fixture.client(), head + "X-Long: " + String(repeating: "a", count: 5000))
    try dribble(fixture.client(), "GET /" + String(repeating: "a", count: 5000))
    // The head at once, the body byte by byte.
    let body = try fixture.client()
    try body.send(head + "Content-Length: 5000\r\n\r\n")
    try dribble(body, String(repeating: "a", count: 5000))
    let chunks = try fixture.client()
    try chunks.send(head + "Transfer-Encoding: chunked\r\n\r\n")
    try dribble(chunks, String(repeating: "1\r\na\r\n", count: 2000))
    // Nothing at all.
    #expect(try fixture.client().isEnded())
    #expect(try fixture.client().ask("GET", "/ready").status == 200)
  }

  @Test("so is a further request on a connection that has been fine")
  func slowSecondRequest() throws {
    let fixture = try HealthFixture(limits: limits(arrival: .milliseconds(200)))
    defer { fixture.server.stop() }
    let client = try fixture.client()
    for _ in 0..<3 { #expect(try client.ask("GET", "/ready").status == 200) }
    try dribble(client, "GET /ready HTTP/1.1\r\nX-Long: " + String(repeating: "a", count: 5000))
  }

  @Test("a connection that is used in time is never cut, and one that rests too long is")
  func resting() throws {
    var limits = limits(arrival: .milliseconds(150))
    limits.rest = .milliseconds(600)
    let fixture = try HealthFixture(limits: limits)
    defer { fixture.server.stop() }
    let client = try fixture.client()
    for _ in 0..<12 {
      #expect(try client.ask("GET", "/ready").status == 200)
      // Longer than a request may take: a rest is no request.
      usleep(200_000)
    }
    #expect(try client.isEnded())
  }

  @Test("200 clients that send a byte now and then are all cut, and probes are answered meanwhile")
  func manySlow() throws {
    let fixture = try HealthFixture(limits: limits(arrival: .milliseconds(500)))
    defer { fixture.server.stop() }
    let slow = try (0..<200).map { _ in try fixture.client() }
    var live = slow
    try poll("all of them being cut") {
      let status = try fixture.client().ask("GET", "/ready").status
      #expect(status == 200)
      live.removeAll { client in
        guard (try? client.send("x")) != nil else { return true }
        var byte: UInt8 = 0
        let count = recv(client.descriptor, &byte, 1, Int32(MSG_DONTWAIT | MSG_PEEK))
        return count == 0 || (count < 0 && errno == ECONNRESET)
      }
      usleep(20_000)
      return live.isEmpty
    }
  }

  @Test("when there are too many connections, new ones are served and the ones silent longest are closed")
  func crowd() throws {
    let fixture = try HealthFixture(limits: limits(connections: 50))
    defer { fixture.server.stop() }
    let first = try fixture.client()
    #expect(try first.ask("GET", "/ready").status == 200)
    var idle: [RawClient] = []
    for _ in 0..<400 {
      idle.append(try fixture.client())
      if idle.count % 20 == 0 { #expect(try fixture.client().ask("GET", "/ready").status == 200) }
    }
    #expect(try first.isEnded())
    for client in idle.prefix(200) { #expect(try client.isEnded()) }
    // The last ones are not closed for the crowd's sake.
    #expect(try idle[399].ask("GET", "/ready").status == 200)
  }

  @Test("2,000 idle connections do not keep a probe from its answer")
  func idle() throws {
    var files = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &files)
    files.rlim_cur = files.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &files)
    // Both ends are in this process.
    let count = min(2000, Int(clamping: files.rlim_cur / 4))
    let fixture = try HealthFixture(limits: limits(connections: 4096))
    defer { fixture.server.stop() }
    let idle = try (0..<count).map { _ in try fixture.client() }
    var worst = Duration.zero
    for _ in 0..<200 {
      let began = monotonicNow()
      #expect(try fixture.client().ask("GET", "/ready").status == 200)
      worst = max(worst, monotonicNow() - began)
    }
    #expect(worst < .seconds(2), "a probe took \(worst)")
    #expect(idle.count == count)
  }

  @Test("many clients at once all get answers")
  func parallel() throws {
    let fixture = try HealthFixture()
    defer { fixture.server.stop() }
    DispatchQueue.concurrentPerform(iterations: 16) { _ in
      for _ in 0..<50 {
        do {
          let client = try fixture.client()
          for _ in 0..<4 { #expect(try client.ask("GET", "/ready").body == "ready\n") }
        } catch {
          Issue.record(error)
        }
      }
    }
  }
}

/// SplitMix64: the same noise from the same seed.
struct Seeded: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
