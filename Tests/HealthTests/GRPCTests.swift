import Foundation
import Glibc
import PoolCore
import Testing

@testable import Health

private typealias Frame = HTTP2Client.Frame

/// A gRPC listener whose state the test chooses.
final class GRPCFixture: Sendable {
  let server: GRPCServer
  private let state: Observer

  init(_ state: State = .ready, limits: ListenLimits = .grpc()) throws {
    let observer = Observer(state.observation)
    self.state = observer
    server = try GRPCServer(
      listen: ListenAddress(parsing: "[::]:0"), limits: limits, observe: { observer.observation })
  }

  deinit { server.stop() }

  func set(_ state: State) { self.state.observation = state.observation }
  func client(greets: Bool = true) throws -> HTTP2Client { try HTTP2Client(server.address, greets: greets) }

  /// Somebody else is answered.
  func expectAnswer(sourceLocation: SourceLocation = #_sourceLocation) throws {
    #expect(try client().check(1) == 1, sourceLocation: sourceLocation)
  }
}

@Suite("The listener for the gRPC health protocol", .timeLimit(.minutes(5)))
struct GRPCTests {
  private func limits(connections: Int = 128, arrival: Duration = .seconds(5)) -> ListenLimits {
    var limits = ListenLimits(connections: connections)
    limits.arrival = arrival
    return limits
  }

  @Test("the defaults are the promised ones")
  func defaults() {
    #expect(ListenLimits.grpc().arrival == .seconds(5) && ListenLimits.grpc().connections <= 128)
    #expect(GRPCConversation.streams == 100 && GRPCCall.longestRequest == 1024)
  }

  @Test("a call is answered with headers, one message and trailers; PING and SETTINGS are acknowledged")
  func call() throws {
    let fixture = try GRPCFixture()
    let client = try fixture.client()
    let settings = try #require(try client.next())
    #expect(settings.kind == .settings && settings.flags == 0)
    // SETTINGS_MAX_CONCURRENT_STREAMS: 100.
    #expect(settings.payload.prefix(6) == [0, 3, 0, 0, 0, 100])
    let acknowledged = try client.next(.settings)
    #expect(acknowledged?.flags == Frame.ack)
    try client.send(Frame(kind: .ping, payload: Array(1...8)))
    #expect(try client.next(.ping) == Frame(kind: .ping, flags: Frame.ack, payload: Array(1...8)))
    for stream: UInt32 in [1, 3, 5] {
      try client.send([HTTP2Client.headers(stream), HTTP2Client.request(stream)])
      #expect(try client.next(.headers, of: stream)?.flags == Frame.endHeaders)
      #expect(try client.next() == Frame(kind: .data, stream: stream, payload: [0, 0, 0, 0, 2, 8, 1]))
      #expect(try client.next(.headers)?.flags == Frame.endHeaders | Frame.endStream)
    }
    fixture.set(.draining)
    #expect(try client.check(7) == 2)
  }

  @Test("a message of any length is taken in pieces, and one that is too long is refused before its end")
  func pieces() throws {
    let fixture = try GRPCFixture()
    let client = try fixture.client()
    try client.send(HTTP2Client.headers(1))
    for byte in GRPCMessage.framed([0x0A, 4] + Array("live".utf8)) {
      try client.send(HTTP2Client.request(1, endStream: false, [byte]))
    }
    try client.send(HTTP2Client.request(1, []))
    #expect(try client.next(.data, of: 1)?.payload.last == 1)
    try client.send([
      HTTP2Client.headers(3), HTTP2Client.request(3, endStream: false, Array(repeating: 0, count: 2000)),
    ])
    // Refused in trailers alone; then the rest is not wanted any more.
    #expect(try client.next(.headers, of: 3)?.flags == Frame.endHeaders | Frame.endStream)
    #expect(try client.next(.resetStream, of: 3)?.code == 0)
    #expect(try client.check(5) == 1)
  }

  @Test("whoever watches is told the state at once, each change of it, and nothing twice")
  func watch() throws {
    let fixture = try GRPCFixture(.warming)
    let client = try fixture.client()
    try client.send([HTTP2Client.headers(1, "Watch"), HTTP2Client.request(1)])
    for (state, status): (State, UInt8) in [
      (.warming, 2), (.ready, 1), (.draining, 2), (.drained, 2), (.ready, 1), (.stalled, 2), (.degraded, 1),
    ] {
      fixture.set(state)
      if state.description == State.drained.description { continue }
      #expect(try client.next(.data, of: 1)?.payload == [0, 0, 0, 0, 2, 8, status], "\(state)")
    }
    // Nothing more: a call on the same connection is answered next.
    #expect(try client.check(3) == 1)
  }

  @Test("a verdict that goes stale is told although nothing is published")
  func stale() throws {
    let moment = Observer(State.ready.observation)
    let began = monotonicNow()
    let server = try GRPCServer(listen: ListenAddress(parsing: "[::]:0")) {
      var observation = moment.observation
      // The time of the question goes on, the snapshot stays: as with a loop that is stuck.
      observation.now = observation.now + (monotonicNow() - began)
      return observation
    }
    defer { server.stop() }
    let client = try HTTP2Client(server.address)
    try client.send([HTTP2Client.headers(1, "Watch"), HTTP2Client.request(1)])
    #expect(try client.next(.data, of: 1)?.payload.last == 1)
    #expect(try client.next(.data, of: 1)?.payload.last == 2)
  }

  @Test("a watch of a service that nobody knows says so and stays open; its own deadline ends it")
  func unknown() throws {
    let fixture = try GRPCFixture()
    let client = try fixture.client()
    let name = GRPCMessage.framed([0x0A, 1, 0x78])
    try client.send([
      HTTP2Client.headers(1, "Watch", extra: [("grpc-timeout", "300m")]), HTTP2Client.request(1, name),
    ])
    #expect(try client.next(.data, of: 1)?.payload.last == 3)
    #expect(try client.check(3) == 1)
    #expect(try client.next(.headers, of: 1)?.flags == Frame.endHeaders | Frame.endStream)
  }

  @Test("a hundred calls at once are served, the one beyond is refused")
  func streams() throws {
    let fixture = try GRPCFixture()
    let client = try fixture.client()
    for number in 0..<100 {
      let stream = UInt32(1 + 2 * number)
      try client.send([HTTP2Client.headers(stream, "Watch"), HTTP2Client.request(stream)])
      #expect(try client.next(.data, of: stream)?.payload.last == 1)
    }
    try client.send([HTTP2Client.headers(201, "Watch"), HTTP2Client.request(201)])
    // REFUSED_STREAM, or a connection error once the client has acknowledged the limit.
    let refused = try #require(try client.next())
    #expect([.resetStream, .goAway].contains(refused.kind))
    try fixture.expectAnswer()
  }

  @Test("a stop says GOAWAY, and returns soon")
  func stops() throws {
    let fixture = try GRPCFixture()
    let clients = try (0..<10).map { _ in try fixture.client() }
    for client in clients {
      try client.send([HTTP2Client.headers(1, "Watch"), HTTP2Client.request(1)])
      #expect(try client.next(.data, of: 1) != nil)
    }
    let began = monotonicNow()
    fixture.server.stop()
    #expect(monotonicNow() - began < .seconds(5))
    for client in clients {
      #expect(try client.next(.goAway)?.code == 0)
      #expect(try client.next() == nil)
    }
  }

  // MARK: - Clients that misbehave

  @Test("bytes that are not HTTP/2 end the connection, and nothing else", arguments: 0..<20)
  func noise(seed: UInt64) throws {
    let fixture = try GRPCFixture(limits: limits(arrival: .milliseconds(200)))
    var random = Seeded(state: seed)
    for _ in 0..<10 {
      let client = try fixture.client(greets: Bool.random(using: &random))
      var bytes = (0..<Int.random(in: 1...3000, using: &random)).map { _ in
        UInt8.random(in: 0...255, using: &random)
      }
      if Bool.random(using: &random), bytes.count > 4 {
        // A header of a frame that looks as if it could be one.
        bytes[0] = 0
        bytes[1] = UInt8.random(in: 0...3, using: &random)
        bytes[3] = UInt8.random(in: 0...10, using: &random)
      }
      try? client.raw.send(bytes)
      client.raw.closeWriting()
      _ = try client.raw.rest()
    }
    try fixture.expectAnswer()
  }

  @Test("HTTP/1.1 ends the connection")
  func http1() throws {
    let fixture = try GRPCFixture()
    let client = try fixture.client(greets: false)
    try client.raw.send("GET /ready HTTP/1.1\r\nHost: x\r\n\r\n")
    _ = try client.raw.rest()
    try fixture.expectAnswer()
  }

  /// What a flood ends in: GOAWAY, or the end without one.
  private func expectEnd(_ client: HTTP2Client, _ fixture: GRPCFixture) throws {
    _ = try client.raw.rest()
    try fixture.expectAnswer()
  }

  @Test("calls that are cancelled as fast as they are made end the connection (rapid reset)")
  func rapidReset() throws {
    let fixture = try GRPCFixture()
    let client = try fixture.client()
    for number in 0..<2000 {
      let stream = UInt32(1 + 2 * number)
      let reset = Frame(kind: .resetStream, stream: stream, payload: word(8))
      guard (try? client.send([HTTP2Client.headers(stream), reset])) != nil else { break }
    }
    #expect(try client.next(.goAway) != nil)
    try expectEnd(client, fixture)
  }

  @Test("PINGs and SETTINGS by the thousand, whose answers nobody reads, end the connection")
  func floods() throws {
    var limits = limits()
    limits.delivery = .milliseconds(500)
    let fixture = try GRPCFixture(limits: limits)
    for frame in [Frame(kind: .ping, payload: Array(1...8)), Frame(kind: .settings)] {
      let client = try fixture.client()
      var small: Int32 = 1
      setsockopt(
        client.raw.descriptor, SOL_SOCKET, SO_RCVBUF, &small, socklen_t(MemoryLayout<Int32>.size))
      let many = Array(repeatElement(frame.bytes, count: 1000).joined())
      var wasCut = false
      for _ in 0..<2000 where !wasCut { wasCut = (try? client.raw.send(many)) == nil }
      #expect(wasCut)
      try fixture.expectAnswer()
    }
  }

  @Test("headers without end, or too many, end the call or the connection")
  func headers() throws {
    let fixture = try GRPCFixture()
    let long = try fixture.client()
    try long.send(HTTP2Client.headers(1, extra: [("x-long", String(repeating: "a", count: 9000))]))
    #expect(try long.next(.resetStream, of: 1) != nil)
    #expect(try long.check(3) == 1)

    let endless = try fixture.client()
    try endless.send(HTTP2Client.headers(1, flags: 0))
    let more = Frame(kind: .continuation, stream: 1, payload: [0, 1, 0x78, 1, 0x78])
    for _ in 0..<10_000 { if (try? endless.send(more)) == nil { break } }
    try expectEnd(endless, fixture)
  }

  @Test(
    "whoever does not greet, or does not end its headers, is cut; a call whose message does not come is refused"
  )
  func slow() throws {
    let fixture = try GRPCFixture(limits: limits(arrival: .milliseconds(300)))
    let silent = try fixture.client(greets: false)
    #expect(try silent.raw.rest().count < 100)
    let half = try fixture.client()
    try half.send(HTTP2Client.headers(1, flags: 0))
    _ = try half.raw.rest()
    let waiting = try fixture.client()
    try waiting.send(HTTP2Client.headers(1))
    #expect(try waiting.next(.headers, of: 1)?.flags == Frame.endHeaders | Frame.endStream)
    #expect(try waiting.next(.resetStream, of: 1)?.code == 0)
    // The connection is as good as before.
    #expect(try waiting.check(3) == 1)
  }

  @Test("a connection without a call is told to go after its rest, and PINGs do not keep it")
  func rest() throws {
    var limits = limits()
    limits.rest = .milliseconds(500)
    let fixture = try GRPCFixture(limits: limits)
    let client = try fixture.client()
    #expect(try client.check(1) == 1)
    try poll("GOAWAY") {
      usleep(50_000)
      return (try? client.send(Frame(kind: .ping, payload: Array(1...8)))) == nil
    }
    #expect(try client.next(.goAway)?.code == 0)
    try fixture.expectAnswer()
  }

  @Test("a thousand connections keep nobody from an answer; those silent longest are closed")
  func crowd() throws {
    let fixture = try GRPCFixture(limits: limits(connections: 64))
    var held: [HTTP2Client] = []
    for number in 0..<1000 {
      held.append(try fixture.client(greets: number % 2 == 0))
      if number % 100 == 0 { try fixture.expectAnswer() }
      if held.count > 200 { _ = try held.removeFirst().raw.rest() }
    }
    try fixture.expectAnswer()
    for client in held.prefix(100) { _ = try client.raw.rest() }
  }
}
