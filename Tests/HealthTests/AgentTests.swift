import Foundation
import Glibc
import PoolCore
import Testing

@testable import Health

/// An agent listener whose state the test chooses.
final class AgentFixture: Sendable {
  let server: AgentServer
  private let state: Observer

  init(_ state: State = .ready, limits: ListenLimits = .agent()) throws {
    let observer = Observer(state.observation)
    self.state = observer
    server = try AgentServer(
      listen: ListenAddress(parsing: "[::]:0"), limits: limits, observe: { observer.observation })
  }

  func set(_ state: State) { self.state.observation = state.observation }
  func client() throws -> RawClient { try RawClient(server.address) }

  /// What one who connects is told, to the end of it.
  func ask(_ first: String = "") throws -> String {
    let client = try client()
    if !first.isEmpty { try client.send(first) }
    return String(decoding: try client.rest(), as: UTF8.self)
  }
}

@Suite("The listener for HAProxy's agent check")
struct AgentTests {
  static let lines: [(State, String)] = [
    (.starting, "down #starting\n"),
    (.warming, "down #warming 1/2\n"),
    (.warmingRefused, "down #warming 0/2, 28P01 password authentication failed\n"),
    (.ready, "up ready 100%\n"),
    (.degraded, "up ready 100% #login failing: 53300 no connection slots left\n"),
    (.probeFailed, "down #probe failed: 57P03 server is starting, stopping or recovering\n"),
    (.lost, "down #database lost: tcp: connection refused\n"),
    (.draining, "drain\n"),
    (.drained, "stopped #drained\n"),
    (.drainedUnstarted, "stopped #drained\n"),
    (.stalled, "down #stalled 3.2s\n"),
    (.overdue, "down #stalled 9.0s\n"),
    (.dead, "down #stalled 12.0s\n"),
  ]

  @Test("says one whole line for each state, and closes", arguments: lines)
  func line(state: State, expected: String) throws {
    let fixture = try AgentFixture(state)
    defer { fixture.server.stop() }
    #expect(try fixture.ask() == expected)
    // As `agent-send` of a server line does.
    #expect(try fixture.ask("state\n") == expected)
  }

  @Test("every state is among them")
  func all() {
    #expect(Set(Self.lines.map(\.0.description)) == Set(State.all.map(\.description)))
  }

  @Test("a degraded instance keeps as much of its weight as it is told to")
  func degradedWeight() {
    #expect(AgentReply.line(State.degraded.observation, degradedWeight: 50).hasPrefix("up ready 50% #"))
    #expect(AgentReply.line(State.ready.observation, degradedWeight: 50) == "up ready 100%\n")
  }

  @Test("a drain of a process that does not run is down")
  func stalledDrain() {
    for phase in [Snapshot.Phase.draining, .drained] {
      let state = State("stalled", phase, reasons: [.draining], beat: .seconds(3))
      #expect(AgentReply.line(state.observation).hasPrefix("down #stalled 3.0s"))
    }
  }

  @Test("each line is one line of HAProxy's words, a bounded reason, and nothing that only operators may see")
  func form() throws {
    let long = State("many reasons", .ready) { snapshot in
      snapshot.degraded = Array(
        repeating: .loginFailing(State.fault(.server(.cannotConnectNow), .session)), count: 20)
    }
    for state in State.all + [long] {
      let line = AgentReply.line(state.observation)
      #expect(line.hasSuffix("\n") && line.count { $0 == "\n" } == 1)
      #expect(line.utf8.count <= 160 && line.utf8.allSatisfy { $0 == 0x0A || (0x20...0x7E).contains($0) })
      #expect(!line.contains("hidden"))
      let words = line.dropLast().prefix { $0 != "#" }.split(separator: " ")
      #expect(words.allSatisfy { ["up", "ready", "down", "drain", "stopped", "100%"].contains($0) })
    }
  }

  @Test("follows the state from one answer to the next")
  func follows() throws {
    let fixture = try AgentFixture(.warming)
    defer { fixture.server.stop() }
    for (state, expected) in Self.lines {
      fixture.set(state)
      #expect(try fixture.ask() == expected)
    }
  }

  @Test("an address that is taken is refused in one line that names the setting")
  func taken() throws {
    let fixture = try AgentFixture()
    defer { fixture.server.stop() }
    let port = try #require(fixture.server.address.port)
    let address = try ListenAddress(parsing: "[::]:\(port)")
    let error = #expect(throws: ListenError.self) {
      try AgentServer(listen: address, observe: { State.ready.observation })
    }
    #expect(error?.setting == "agent-listen")
    #expect(error?.description.hasPrefix("--agent-listen [::]:\(port): port \(port) is in use") == true)
  }

  // MARK: - Clients that misbehave

  @Test("a thousand who connect and do nothing keep nobody from an answer, and only so many are held")
  func crowd() throws {
    var limits = ListenLimits.agent()
    limits.connections = 64
    let fixture = try AgentFixture(limits: limits)
    defer { fixture.server.stop() }
    var held: [RawClient] = []
    for number in 0..<1000 {
      held.append(try fixture.client())
      if number % 100 == 0 { #expect(try fixture.ask() == "up ready 100%\n") }
      // The files of the test itself are limited as well; what is let go here was closed by the listener before.
      if held.count > 200 {
        #expect(String(decoding: try held.removeFirst().rest(), as: UTF8.self) == "up ready 100%\n")
      }
    }
    #expect(try fixture.ask() == "up ready 100%\n")
  }

  @Test(
    "whoever never reads, floods, resets or ends its side first costs a moment, and does not disturb others")
  func rude() throws {
    let fixture = try AgentFixture()
    defer { fixture.server.stop() }
    var kept: [RawClient] = []
    for number in 0..<200 {
      let client = try fixture.client()
      switch number % 4 {
      case 0: kept.append(client)
      case 1: try? client.send(String(repeating: "x", count: 100_000))
      case 2: client.resetOnClose()
      default: client.closeWriting()
      }
    }
    #expect(try fixture.ask() == "up ready 100%\n")
    // All are told, and let go after the time they have for closing.
    for client in kept { #expect(String(decoding: try client.rest(), as: UTF8.self) == "up ready 100%\n") }
  }

  @Test("whoever is told and does not close is closed after a second")
  func leaves() throws {
    let fixture = try AgentFixture()
    defer { fixture.server.stop() }
    let client = try fixture.client()
    _ = try client.rest()
    // What is sent to a closed connection comes back as a reset.
    try poll("the connection being closed") {
      usleep(20_000)
      return (try? client.send("x")) == nil
    }
  }

  @Test("a stop ends it at once, whoever is connected; the port is free again")
  func stops() throws {
    let fixture = try AgentFixture()
    let clients = try (0..<20).map { _ in try fixture.client() }
    let began = monotonicNow()
    fixture.server.stop()
    fixture.server.stop()
    #expect(monotonicNow() - began < .seconds(5))
    #expect(throws: RawClient.Broken.self) { try fixture.client() }
    #expect(clients.count == 20)
  }
}
