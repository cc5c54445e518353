import Support
import Testing

@Suite("a proxy that makes the way to a server bad")
struct FaultProxyTests {
  private static let soon: Duration = .seconds(10)
  /// Long enough to see that nothing comes.
  private static let aMoment: Duration = .milliseconds(300)

  /// Sends a byte to a server behind `proxy`, and returns what comes back; nil: nothing in time, empty: the end.
  private func answer(of socket: ClientSocket, within time: Duration = soon) throws -> [UInt8]? {
    try socket.send([1], deadline: .now + Self.soon)
    return socket.receive(deadline: .now + time)
  }

  private func connect(_ proxy: FaultProxy) throws -> ClientSocket {
    try ClientSocket(.tcp("127.0.0.1", proxy.port), deadline: .now + Self.soon)
  }

  @Test("it passes on what it is given, and the end of it")
  func passing() throws {
    let server = try CannedServer("hello")
    let proxy = try FaultProxy(to: server.port, seed: 1)
    let socket = try connect(proxy)
    #expect(try answer(of: socket) == Array("hello".utf8))
    #expect(socket.receive(deadline: .now + Self.soon) == [])
  }

  @Test("a delay holds up either direction for no less than it says, and keeps the order")
  func delay() throws {
    let server = try CannedServer("hello")
    for towardsClient in [true, false] {
      let proxy = try FaultProxy(to: server.port, seed: 1)
      var late = FaultProxy.Delay()
      late.least = .milliseconds(200)
      proxy.delay(
        towardsClient: towardsClient ? late : .init(), towardsServer: towardsClient ? .init() : late)
      let socket = try connect(proxy)
      let began = ContinuousClock.now
      #expect(try answer(of: socket) == Array("hello".utf8))
      #expect(ContinuousClock.now - began >= .milliseconds(200))
      #expect(socket.receive(deadline: .now + Self.soon) == [])
    }
  }

  @Test("while it is silent nothing comes and nothing ends; afterwards everything arrives")
  func silence() throws {
    let server = try CannedServer("hello")
    let proxy = try FaultProxy(to: server.port, seed: 1)
    let before = try connect(proxy)
    proxy.fallSilent()
    let after = try connect(proxy)
    #expect(try answer(of: before, within: Self.aMoment) == nil)
    #expect(try answer(of: after, within: Self.aMoment) == nil)
    proxy.heal()
    for socket in [before, after] {
      #expect(socket.receive(deadline: .now + Self.soon) == Array("hello".utf8))
    }
  }

  @Test(
    "a fault that is certain strikes the first reply, and is counted", arguments: FaultProxy.Fault.allCases)
  func faults(_ fault: FaultProxy.Fault) throws {
    let server = try CannedServer("hello")
    let proxy = try FaultProxy(to: server.port, seed: 1)
    proxy.strike([fault], probability: 1)
    let socket = try connect(proxy)
    let received = try answer(of: socket) ?? []
    switch fault {
    case .cutMidReply: #expect(received.count < 5)
    case .endToClient, .reset: #expect(received == [])
    case .endToServer: #expect(received == Array("hello".utf8))
    }
    #expect(proxy.struck == [fault: 1])
  }

  @Test("once it is closed its connections end")
  func closing() throws {
    let server = try CannedServer("hello")
    let proxy = try FaultProxy(to: server.port, seed: 1)
    let socket = try connect(proxy)
    proxy.close()
    #expect(socket.receive(deadline: .now + Self.soon) == [])
  }
}
