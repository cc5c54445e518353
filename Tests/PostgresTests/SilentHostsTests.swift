import FaultyNetwork
import PoolCore
import Support
import Testing

@testable import Postgres

@Suite("hosts that have fallen silent") struct SilentHostsTests {
  private func withTwoHosts(
    role: RequiredRole, _ body: (Connector, FaultProxy) async throws -> Void
  ) async throws {
    try await withPostgres { first in
      try await withPostgres { second in
        let proxy = try FaultProxy(to: first.port, seed: 1)
        defer { proxy.close() }
        let url = "postgresql://postgres:secret@127.0.0.1:\(proxy.port),127.0.0.1:\(second.port)/postgres"
        try await withLoop { loop in
          try await body(try connector(url, on: loop, timeout: .seconds(2), role: role), proxy)
        }
      }
    }
  }

  /// The index of the host that takes us.
  private func host(_ connector: Connector, at place: LoginPlace = .anywhere) async throws -> Int {
    let connection = try await connector.login(at: place)
    await connection.close()
    return connection.host.index
  }

  @Test("with a required role they are asked last, until they are heard of again")
  func askedLast() async throws {
    try await withTwoHosts(role: .primary) { connector, proxy async throws in
      #expect(try await host(connector) == 0)
      proxy.fallSilent()
      #expect(try await host(connector) == 1)
      proxy.heal()
      // The first one would take us again, but nobody has asked it.
      #expect(try await host(connector) == 1)
      #expect(try await host(connector, at: .only(HostID(0))) == 0)
      #expect(try await host(connector) == 0)
      connector.fellSilent(HostID(0))
      #expect(try await host(connector) == 1)
    }
  }

  @Test(
    "the order of the URL stays what it is without a required role, and when they are all there are",
    arguments: [(RequiredRole.any, [0]), (.primary, [0, 1])])
  func order(role: RequiredRole, silent: [Int]) async throws {
    try await withTwoHosts(role: role) { connector, _ async throws in
      for index in silent { connector.fellSilent(HostID(index)) }
      #expect(try await host(connector) == 0)
    }
  }
}
