import EventLoop
import PoolCore
import Postgres
import Support
import Testing

@testable import WarmPool

@Suite("tickets of a fleet", .timeLimit(.minutes(10))) struct TicketTests {
  private static let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
  private static let waiting = "warming 1/3, waiting for the ticket"

  private func pool(
    _ postgres: TestPostgres, _ change: (inout WarmPool.Configuration) -> Void = { _ in }
  ) throws -> RunningPool {
    try RunningPool(postgres) {
      $0.pool.fleetTickets = 1
      $0.minConnections = 3
      change(&$0)
    }
  }

  /// Somebody who has taken all there are.
  private func holder(
    _ postgres: TestPostgres, database: String = "postgres", tickets: Int = 1
  ) async throws -> PsqlSession {
    let session = try await postgres.session(database: database)
    for ticket in 1...tickets {
      _ = try await session.ask("SELECT pg_advisory_lock(\(0x7761_726D), \(ticket))")
    }
    return session
  }

  @Test("while another has the ticket a pool stays at its scout, and warms as soon as it is given back")
  func waits() async throws {
    try await withPostgres { postgres in
      let holder = try await holder(postgres)
      let running = try pool(postgres)
      try await running.whileItRuns { pool in
        #expect(await eventually { running.verdict.reasons.map(\.text) == [Self.waiting] })
        #expect(pool.snapshot.pool.open == 1)
        await holder.end()
        try await pool.warmed(within: .seconds(20))
        #expect(await eventually { pool.snapshot.ticket.state == .notNeeded })
        // It has been given back.
        #expect(await eventually { try await postgres.sql(Self.locks) == "0" })
        #expect(pool.snapshot.counters.warmedWithoutTicket == 0)
      }
    }
  }

  @Test("where instances use different databases it is taken in the one they share, by a session of its own")
  func otherDatabase() async throws {
    try await withPostgres { postgres in
      try await postgres.sql("CREATE DATABASE shared")
      // One of the same number in another database is another one.
      let stranger = try await holder(postgres)
      let holder = try await holder(postgres, database: "shared")
      let running = try pool(postgres) { $0.ticketsDatabase = "shared" }
      let there =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = 'shared' AND application_name = 'warmgate/test'"
      try await running.whileItRuns { pool in
        #expect(await eventually { running.verdict.reasons.map(\.text) == [Self.waiting] })
        #expect(await eventually { try await postgres.sql(there) == "1" })
        await holder.end()
        try await pool.warmed(within: .seconds(20))
        #expect(await eventually { try await postgres.sql(there) == "0" })
      }
      // A drain while it waits leaves nothing behind either.
      let again = try await self.holder(postgres, database: "shared")
      let other = try pool(postgres) { $0.ticketsDatabase = "shared" }
      try await other.whileItRuns { pool in
        #expect(await eventually { try await postgres.sql(there) == "1" })
        try await pool.drain()
        #expect(await eventually { try await postgres.sql(there) == "0" })
      }
      for session in [again, stranger] { await session.end() }
    }
  }

  @Test("of several each asker takes one, whichever is free, and the one too many gets none")
  func oneOfMany() async throws {
    try await withConnections(4) { postgres, connections in
      let question = TicketQuestion(tickets: 3)
      for (taken, connection) in connections.enumerated() {
        #expect(await question.ask(connection) == (taken < 3 ? .granted : .noneFree))
        let locks = try await postgres.sql(Self.locks)
        #expect(locks == "\(min(taken + 1, 3))")
      }
      await question.giveBack(connections[1])
      #expect(await question.ask(connections[3]) == .granted)
    }
  }

  @Test("while a session has one the server notices soon that its client has vanished, and then as before")
  func keepalives() async throws {
    try await withConnections(1) { _, connections in
      let (connection, question) = (connections[0], TicketQuestion(tickets: 1))
      func idle() async throws -> String? { try await connection.query("SHOW tcp_keepalives_idle")[0, 0] }
      let before = try await idle()
      #expect(before != "2")
      #expect(await question.ask(connection) == .granted)
      let meanwhile = try await idle()
      #expect(meanwhile == "2")
      await question.giveBack(connection)
      let afterwards = try await idle()
      #expect(afterwards == before)
    }
  }

  private func withConnections(
    _ count: Int, _ body: @escaping @Sendable (TestPostgres, [Connection]) async throws -> Void
  ) async throws {
    try await withPostgres(["tcp_keepalives_idle": "77"]) { postgres in
      let loop = try EventLoop(name: "test")
      try loop.start()
      let outcome = await Task { try await self.withConnections(count, on: loop, postgres, body) }.result
      // What ends with its last reference ends on the loop, a turn later.
      for _ in 0..<3 { await withCheckedContinuation { done in loop.post { done.resume() } } }
      loop.stop()
      await blocking { loop.join() }
      try outcome.get()
    }
  }

  private func withConnections(
    _ count: Int, on loop: EventLoop, _ postgres: TestPostgres,
    _ body: @Sendable (TestPostgres, [Connection]) async throws -> Void
  ) async throws {
    let connector = Connector(
      loop: loop, database: try Database(url: postgres.tcpURL(), applicationName: "warmgate/test"))
    var connections: [Connection] = []
    for _ in 0..<count { connections.append(try await connector.login()) }
    try await body(postgres, connections)
    for connection in connections { await connection.close() }
  }

  @Test(
    "kept for the application, it is given back when that has opened its sessions", arguments: [nil, "shop"])
  func forTheApplication(prefix: String?) async throws {
    try await withPostgres { postgres in
      let running = try pool(postgres) {
        $0.databaseURL = postgres.tcpURL()
        $0.pool.holdForApp = 2
        $0.applicationNamePrefix = prefix
      }
      try await running.whileItRuns { pool in
        try await pool.warmed(within: .seconds(20))
        func sessions() -> Int? {
          if case .heldForApp(let sessions, _) = pool.snapshot.ticket.state { sessions } else { nil }
        }
        #expect(await eventually { sessions() == 0 })
        // Neither these nor those of another name, or from another address, are its own.
        let stranger = try await postgres.session()
        let first = try await postgres.session(applicationName: "shop-1", password: TestPostgres.password)
        #expect(await eventually(within: .seconds(20)) { sessions() == 1 })
        #expect(try await postgres.sql(Self.locks) == "1")
        let second = try await postgres.session(applicationName: "shop-2", password: TestPostgres.password)
        #expect(await eventually(within: .seconds(20)) { pool.snapshot.ticket.state == .notNeeded })
        #expect(await eventually { try await postgres.sql(Self.locks) == "0" })
        for session in [stranger, first, second] { await session.end() }
      }
    }
  }

  @Test("behind a pooler there are none: it warms without, says so, and leaves no lock behind")
  func pooler() async throws {
    try await withPostgres { postgres in
      let pooler = try await PgBouncer.started(before: postgres, sessions: 5)
      let running = try pool(postgres) { $0.databaseURL = pooler.url }
      try await running.whileItRuns { pool in
        try await pool.warmed(within: .seconds(20))
        #expect(pool.snapshot.counters.warmedWithoutTicket == 1)
        #expect(running.warmedWithoutTicket.contains { $0.contains("a pooler is in between") })
        #expect(try await postgres.sql(Self.locks) == "0")
      }
      pooler.stop()
    }
  }

  @Test("where an administrator has taken the right away it warms without, and says why")
  func revoked() async throws {
    try await withPostgres { postgres in
      try await postgres.sql(
        """
        REVOKE EXECUTE ON FUNCTION pg_catalog.pg_try_advisory_lock(integer, integer) FROM PUBLIC;
        CREATE ROLE app LOGIN
        """)
      let running = try pool(postgres) { $0.databaseURL = postgres.unixURL(user: "app") }
      try await running.whileItRuns { pool in
        try await pool.warmed(within: .seconds(20))
        #expect(running.warmedWithoutTicket.contains { $0.contains("42501") })
      }
    }
  }
}
