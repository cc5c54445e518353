import PoolCore
import Support
import Testing
import WarmPool

@Suite(.timeLimit(.minutes(10))) struct RecoveryTests {
  @Test("one idle session ended by an administrator is replaced, its siblings kept, readiness never lost")
  func oneTerminated() async throws {
    try await withPool({ $0.minConnections = 4 }) { running, postgres in
      try await running.pool.warmed(within: .seconds(20))
      let before = try await pids(postgres)
      #expect(try await postgres.terminateBackends(applicationNameLike: "warmgate/test", limit: 1) == 1)
      #expect(await eventually { running.pool.snapshot.counters.loginsSucceeded == 5 })
      #expect(await eventually { try await pids(postgres).count == 4 })
      #expect(try await pids(postgres).intersection(before).count == 3)
      #expect(!running.phases.contains(.unready))
      #expect(running.pool.snapshot.generation == 1)
    }
  }

  @Test("a killed server is unready within a second, and ready again after it is back", arguments: [1, 3])
  func killed(floor: Int) async throws {
    try await withPool({ $0.minConnections = floor }) { running, postgres in
      try await running.pool.warmed(within: .seconds(20))
      await postgres.kill()
      #expect(await eventually(within: .seconds(1)) { !running.verdict.isReady })
      try await postgres.start()
      #expect(await eventually(within: .seconds(20)) { running.verdict.isReady })
      #expect(
        await eventually(within: .seconds(60)) { try await postgres.sessions(like: "warmgate/test") == floor }
      )
    }
  }

  @Test("a restart is seen and recovered from", arguments: [TestPostgres.Shutdown.fast, .immediate])
  func restarted(mode: TestPostgres.Shutdown) async throws {
    try await withPool { running, postgres in
      try await running.pool.warmed(within: .seconds(20))
      try await postgres.restart(mode)
      // Both sessions died with the old server: only new ones can make it whole.
      #expect(
        await eventually(within: .seconds(60)) {
          running.pool.snapshot.counters.loginsSucceeded >= 4 && running.verdict.isReady
            && !running.verdict.isDegraded
        })
    }
  }

  @Test("a server that hangs is unready in time, and ready again when it goes on")
  func hung() async throws {
    try await withPool({
      $0.pool.probeInterval = .milliseconds(500)
      $0.pool.probeTimeout = .milliseconds(300)
      $0.pool.connectTimeout = .seconds(1)
    }) { running, postgres in
      try await running.pool.warmed(within: .seconds(20))
      await postgres.suspend()
      #expect(await eventually(within: .seconds(5)) { running.pool.snapshot.phase == .unready })
      await postgres.resume()
      #expect(await eventually(within: .seconds(20)) { running.verdict.isReady })
    }
  }

  @Test("old connections are replaced while the pool stays ready; not while logins fail")
  func ageing() async throws {
    try await withPool({ $0.pool.maxLifetime = .seconds(1) }) { running, postgres in
      try await running.pool.warmed(within: .seconds(20))
      let before = try await pids(postgres)
      #expect(await eventually(within: .seconds(20)) { try await pids(postgres).isDisjoint(with: before) })
      // A fresh login is refused from here on; the sessions that are open work.
      _ = try await postgres.sql("ALTER DATABASE postgres ALLOW_CONNECTIONS false", database: "template1")
      #expect(await eventually(within: .seconds(20)) { running.pool.snapshot.login.isFailing })
      let kept = running.pool.snapshot.counters.closes
      #expect(await eventually { running.verdict.isDegraded })
      let until = ContinuousClock.now + .seconds(3)
      #expect(
        await !eventually(within: .seconds(3)) {
          running.pool.snapshot.counters.closes != kept || !running.verdict.isReady
        })
      #expect(ContinuousClock.now >= until)
      _ = try await postgres.sql("ALTER DATABASE postgres ALLOW_CONNECTIONS true", database: "template1")
    }
  }

  private func pids(_ postgres: TestPostgres) async throws -> Set<String> {
    let text = try await postgres.sql(
      "SELECT pid FROM pg_stat_activity WHERE application_name = 'warmgate/test'", database: "template1")
    return Set(text.split(separator: "\n").map(String.init))
  }
}
