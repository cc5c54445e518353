import PoolCore
import Support
import Testing
import WarmPool

/// Leaks that only the server sees: sessions idle in a transaction.
@Suite(.timeLimit(.minutes(10))) struct SessionLeakTests {
  private static func watchful(_ configuration: inout WarmPool.Configuration) {
    configuration.pool.leakAfter = .seconds(1)
    configuration.pool.probeInterval = .milliseconds(300)
    configuration.pool.probeTimeout = .milliseconds(300)
  }

  /// A pool that is connected over TCP as `user`, whose password is the fixture's.
  private func withTCPPool(
    user: String, prefix: String? = nil, _ body: (RunningPool, TestPostgres) async throws -> Void
  ) async throws {
    try await withPostgres { postgres in
      for role in ["app", "other"] {
        _ = try await postgres.sql("CREATE ROLE \(role) LOGIN PASSWORD '\(TestPostgres.password)'")
      }
      let running = try RunningPool(postgres) {
        Self.watchful(&$0)
        $0.databaseURL = postgres.tcpURL(user: user)
        $0.applicationNamePrefix = prefix
      }
      async let life: Void = running.pool.run()
      do {
        try await running.pool.warmed(within: .seconds(20))
        try await body(running, postgres)
      } catch { Issue.record(error) }
      _ = try? await running.pool.terminate(within: .seconds(1))
      await life
    }
  }

  private func neighbour(
    _ postgres: TestPostgres, as user: String, name: String = "neighbour"
  ) async throws -> (session: PsqlSession, pid: Int32) {
    let session = try await postgres.session(
      user: user, applicationName: name, password: TestPostgres.password)
    let pid = try #require(Int32(try await session.ask("SELECT pg_backend_pid()")))
    _ = try await session.ask("BEGIN")
    return (session, pid)
  }

  /// A reading says so before long.
  private func reports(_ running: RunningPool, _ what: (SessionLeaks) -> Bool) async -> Bool {
    await eventually(within: .seconds(60)) { what(running.pool.snapshot.sessionLeaks) }
  }

  @Test("a neighbour at the same address that idles in a transaction is reported once, and when it goes on")
  func neighbour() async throws {
    try await withTCPPool(user: "postgres") { running, postgres in
      let (session, pid) = try await neighbour(postgres, as: "other")
      // At work, or idle without a transaction, is no leak.
      let idle = try await postgres.session(user: "other", password: TestPostgres.password)
      #expect(await eventually(within: .seconds(30)) { running.leaked == [pid] })
      #expect(await reports(running) { $0.scope == .clientAddress && $0.limits.isEmpty && $0.total == 1 })
      let leak = try #require(running.pool.snapshot.sessionLeaks.open.first)
      #expect(leak.role == "other" && leak.applicationName == "neighbour" && !leak.isOwn)
      #expect(leak.idleFor > .seconds(1))
      // Two more readings of the same leak.
      for _ in 0..<2 {
        let before = running.pool.snapshot.sessionLeaks.checked
        #expect(
          await eventually(within: .seconds(30)) { running.pool.snapshot.sessionLeaks.checked != before })
      }
      #expect(running.leaked == [pid])
      _ = try await session.ask("ROLLBACK")
      #expect(await eventually(within: .seconds(30)) { running.leaksEnded == [pid] })
      #expect(await reports(running) { $0.open.isEmpty && $0.total == 1 })
      await idle.end()
    }
  }

  @Test("an ordinary role sees the sessions of its own role, and says that others are hidden")
  func ordinaryRole() async throws {
    try await withTCPPool(user: "app") { running, postgres in
      let (hidden, _) = try await neighbour(postgres, as: "other")
      let (seen, pid) = try await neighbour(postgres, as: "app")
      #expect(await eventually(within: .seconds(30)) { !running.leaked.isEmpty })
      #expect(running.leaked == [pid])
      #expect(await reports(running) { $0.scope == .clientAddress && $0.limits == [.ownRoleOnly] })
      _ = try await postgres.sql("GRANT pg_read_all_stats TO app")
      #expect(await eventually(within: .seconds(30)) { running.leaked.count == 2 })
      #expect(await reports(running) { $0.limits.isEmpty })
      await hidden.end()
      await seen.end()
    }
  }

  @Test("with a prefix, neighbours are those whose name begins so, taken literally, at whatever address")
  func prefix() async throws {
    try await withTCPPool(user: "postgres", prefix: "or_ers-") { running, postgres in
      let (other, _) = try await neighbour(postgres, as: "other", name: "orders-1")
      let named = try await postgres.session(user: "other", applicationName: "or_ers-1")
      let pid = try #require(Int32(try await named.ask("SELECT pg_backend_pid()")))
      _ = try await named.ask("BEGIN")
      #expect(await eventually(within: .seconds(30)) { !running.leaked.isEmpty })
      #expect(running.leaked == [pid])
      #expect(await reports(running) { $0.scope == .applicationName(prefix: "or_ers-") })
      await other.end()
      await named.end()
    }
  }

  @Test("over a Unix socket only this instance's own sessions are watched, and it says so")
  func unixSocket() async throws {
    try await withPool(Self.watchful) { running, postgres in
      try await running.pool.warmed(within: .seconds(20))
      let foreign = try await postgres.session()
      _ = try await foreign.ask("BEGIN")
      let own = try await running.pool.withConnection { db in
        _ = try await db.query("BEGIN")
        #expect(await eventually(within: .seconds(30)) { !running.leaked.isEmpty })
        return db.backendPID
      }
      #expect(running.leaked == [own])
      #expect(await reports(running) { $0.limits == [.unixSocket] })
      // The pool itself rolls it back.
      #expect(await eventually(within: .seconds(30)) { running.leaksEnded == [own] })
      await foreign.end()
    }
  }

  @Test("a question that the server cannot answer is given up, and disturbs no probe")
  func unanswered() async throws {
    try await withPool({
      Self.watchful(&$0)
      $0.pool.probeInterval = .seconds(2)
      $0.pool.probeTimeout = .seconds(2)
    }) { running, postgres in
      try await running.pool.warmed(within: .seconds(20))
      let locker = try await postgres.session()
      _ = try await locker.ask("BEGIN")
      _ = try await locker.ask("LOCK TABLE pg_authid IN ACCESS EXCLUSIVE MODE")
      let failures = running.pool.snapshot.counters.probesFailed
      #expect(await reports(running) { $0.limits == [.noAnswer] })
      let good = running.pool.snapshot.counters.probesSucceeded
      #expect(
        await eventually(within: .seconds(30)) { running.pool.snapshot.counters.probesSucceeded > good + 2 })
      #expect(running.pool.snapshot.counters.probesFailed == failures)
      #expect(running.pool.snapshot.counters.closes.isEmpty)
      _ = try await locker.ask("ROLLBACK")
      // It is asked again, and answered.
      #expect(await reports(running) { $0.limits == [.unixSocket] })
      await locker.end()
    }
  }
}
