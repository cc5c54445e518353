import Support
import Testing

/// What happens to a ticket whose holder is gone: the others need not wait for longer than it would have been kept.
@Suite("the ticket of an instance that vanishes while it warms", .timeLimit(.minutes(10)))
struct TicketTests {
  private static let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"

  /// Takes so long to warm that it can be met with its ticket.
  private static let slow = ["--fleet-tickets", "1", "--min-connections", "200", "--max-connections", "200"]

  private static let settings = ["max_connections": "300"]

  private func meetHolder(at pg: TestPostgres) async throws {
    let session = try await pg.session()
    #expect(await eventually { try await session.ask(Self.locks) == "1" })
    await session.end()
  }

  /// Another one waits for the ticket, and gets it.
  private func expectNextIsReady(at pg: TestPostgres) async throws {
    try await withSidecar(["--fleet-tickets", "1", "--min-connections", "3"], url: pg.unixURL) { next in
      try await next.waitUntilReady(within: .seconds(30))
      #expect(try await next.status()["ticket"]["warmed_without"].int == 0)
      #expect(await eventually { try await pg.sql(Self.locks) == "0" })
    }
  }

  @Test("by SIGKILL: it is free at once")
  func killed() async throws {
    try await withPostgres(Self.settings) { pg in
      let holder = try await RunningSidecar.started(Self.slow, url: pg.unixURL)
      try await meetHolder(at: pg)
      await holder.process.kill()
      try await expectNextIsReady(at: pg)
    }
  }

  @Test(
    "with its node, so that packets are dropped: its server gives up within seconds", .needsNetworkNamespaces)
  func cutOff() async throws {
    try await withRemotePostgres(Self.settings) { path, pg in
      try await withSidecar(Self.slow, url: pg.tcpURL(), namespace: path.client) { _ in
        try await meetHolder(at: pg)
        try await path.drop()
        try await expectNextIsReady(at: pg)
        try await path.heal()
      }
    }
  }

  @Test("with the database itself: nothing is left of it, and both warm again")
  func databaseKilled() async throws {
    try await withPostgres(Self.settings) { pg in
      try await withSidecar(Self.slow, url: pg.unixURL) { holder in
        try await meetHolder(at: pg)
        await pg.kill()
        try await pg.start()
        try await expectNextIsReady(at: pg)
        try await holder.waitUntilReady(within: .seconds(60))
      }
    }
  }
}
