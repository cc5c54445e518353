import Foundation
import Support

/// Machines behind a load balancer, and users before it.
final class Service: Sendable {
  /// How the load balancer finds out about a machine.
  enum Check: Sendable, CustomStringConvertible {
    /// Warmgate's `/ready`, and the application's own answer.
    case http
    /// Warmgate's agent check, and the application's own answer.
    case agent
    /// There is no Warmgate. Whether the application's port can be connected to, which is HAProxy's own way.
    case none

    var description: String {
      switch self {
      case .http: "Warmgate and httpchk"
      case .agent: "Warmgate and agent-check"
      case .none: "no Warmgate"
      }
    }
  }

  let machines: [Machine]
  let balancer: HAProxy
  let users: Users
  private let url: String

  /// With the first of the machines serving version 1, and users.
  static func serving(
    _ first: Int, of count: Int, _ check: Check, url: String
  ) async throws -> Service {
    let ports = Machine.Ports()
    let machines = try (1...count).map { try Machine($0, ports, hasWarmgate: check != .none) }
    do {
      for machine in machines.prefix(first) { try await machine.start(version: "1", url: url) }
      let front = freePort()
      let balancer = try await HAProxy.started(
        configuration: try Self.configuration(check, ports, front: front, machines))
      for machine in machines.prefix(first) { try await Self.expectServing(machine, balancer) }
      return try Service(machines, balancer, front: front, url: url)
    } catch {
      for machine in machines { await machine.kill() }
      throw error
    }
  }

  private init(_ machines: [Machine], _ balancer: HAProxy, front: Int, url: String) throws {
    (self.machines, self.balancer, self.url) = (machines, balancer, url)
    users = try Users(of: "http://127.0.0.1:\(front)/", perSecond: 100)
  }

  func close() async {
    balancer.close()
    for machine in machines { await machine.kill() }
  }

  /// The example for HAProxy, word for word but for addresses and ports.
  private static func configuration(
    _ check: Check, _ ports: Machine.Ports, front: Int, _ machines: [Machine]
  ) throws -> String {
    let path = Machine.file("examples/haproxy/\(check == .agent ? "agent-check" : "haproxy").cfg")
    var lines = try String(contentsOfFile: path, encoding: .utf8).split(
      separator: "\n", omittingEmptySubsequences: false
    ).map(String.init).filter { !$0.hasPrefix("    server ") }
    if check == .none { lines.removeAll { $0.contains("httpchk") || $0.contains("http-check") } }
    lines += machines.map { "    server \($0.name) \($0.address):8080" }
    return (lines.joined(separator: "\n") + "\n")
      .replacing(/bind :8000/, with: "bind 127.0.0.1:\(front)")
      .replacing(/\b8080\b/, with: "\(ports.app)")
      .replacing(/\b8086\b/, with: "\(ports.health)")
      .replacing(/\b8089\b/, with: "\(ports.agent)")
  }

  /// Ends what runs on a machine and starts a version there; `meanwhile` while it starts. Returns when the load balancer
  /// sends it users.
  func replace(
    _ machine: Machine, with version: String, meanwhile: () async throws -> Void = {}
  ) async throws {
    try await machine.stop()
    async let start: Void = machine.start(version: version, url: url)
    try await meanwhile()
    try await start
    try await expectServing(machine)
  }

  func isUp(_ machine: Machine) throws -> Bool { try Self.isUp(machine, balancer) }

  private static func isUp(_ machine: Machine, _ balancer: HAProxy) throws -> Bool {
    try balancer.server(machine.name, of: "shop").status.hasPrefix("UP")
  }

  /// Returns when the machine can serve and the load balancer knows.
  func expectServing(_ machine: Machine) async throws { try await Self.expectServing(machine, balancer) }

  private static func expectServing(_ machine: Machine, _ balancer: HAProxy) async throws {
    guard await eventually(within: .seconds(60), { try await machine.isServing() && isUp(machine, balancer) })
    else {
      throw FixtureError("\(machine.name) does not serve:\n\(machine.log)\n\(balancer.log)")
    }
  }
}

/// Runs `body` with such a service and ends all of it, whatever happens.
func withService<Result>(
  _ first: Int, of count: Int, _ check: Service.Check, url: String, _ body: (Service) async throws -> Result
) async throws -> Result {
  let service = try await Service.serving(first, of: count, check, url: url)
  do {
    let result = try await body(service)
    await service.close()
    return result
  } catch {
    await service.close()
    throw error
  }
}
