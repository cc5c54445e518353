import FaultyNetwork
import PoolCore
import Support
import Testing
import WarmPool

@Suite("a server that nothing comes from any more", .timeLimit(.minutes(10))) struct SilenceTests {
  @Test("is found by the statement that waits for it, not by the next probe")
  func found() async throws {
    try await withPostgres { postgres in
      let proxy = try FaultProxy(to: postgres.port, seed: 1)
      defer { proxy.close() }
      let running = try RunningPool(postgres) {
        $0.databaseURL = "postgresql://postgres:secret@127.0.0.1:\(proxy.port)/postgres"
        $0.pool.probeInterval = .seconds(3600)
        $0.pool.connectTimeout = .seconds(1)
      }
      try await running.whileItRuns { pool in
        try await pool.warmed(within: .seconds(20))
        let probes = pool.snapshot.counters.probesSucceeded
        // One that takes its time on a server that answers is no reason to doubt it.
        #expect(try await ask(pool, "SELECT pg_sleep(1.6)") == "")
        #expect(pool.snapshot.counters.probesSucceeded <= probes + 1)
        #expect(running.verdict.isReady)
        proxy.fallSilent()
        let statement = Task { try await ask(pool, "SELECT 1") }
        #expect(await eventually(within: .seconds(30)) { !running.verdict.isReady })
        statement.cancel()
        _ = try? await statement.value
        proxy.heal()
        #expect(await eventually(within: .seconds(30)) { running.verdict.isReady })
      }
    }
  }

  @Test("ends what is lent there once another host is the primary, as perhaps executed")
  func cut() async throws {
    try await withPostgres { primary in
      let standby = try await primary.makeStandby()
      let proxy = try FaultProxy(to: primary.port, seed: 1)
      defer { proxy.close() }
      do {
        let running = try RunningPool(primary) {
          $0.databaseURL =
            "host=127.0.0.1,127.0.0.1 port=\(proxy.port),\(standby.port) user=postgres password=secret "
            // Otherwise TCP would do it in the end.
            + "dbname=postgres tcp_user_timeout=0"
          $0.requireRole = .primary
          $0.maxConnections = 3
          $0.pool.connectTimeout = .seconds(2)
          $0.pool.acquireTimeout = .seconds(60)
        }
        try await running.whileItRuns { pool in
          try await pool.warmed(within: .seconds(20))
          let holders = (0..<2).map { _ in
            Task { try await ask(pool, "SELECT pg_sleep(3600)") }
          }
          #expect(await eventually { try await primary.sleepers() == 2 })
          proxy.fallSilent()
          try await standby.promote()
          for holder in holders {
            let error = await #expect(throws: PoolError.self) { _ = try await holder.value }
            #expect(error?.maybeExecuted == true)
            #expect(error?.fault?.message.contains("another one has taken its place") == true)
          }
          // Nothing of the pool is left at the silent host.
          #expect(try await ask(pool, "SELECT current_setting('port')") == "\(standby.port)")
          #expect(
            await eventually(within: .seconds(20)) { running.verdict.isReady && !running.verdict.isDegraded })
        }
      } catch {
        await blocking { standby.close() }
        throw error
      }
      await blocking { standby.close() }
    }
  }
}

extension TestPostgres {
  /// Sessions that sleep in a statement.
  fileprivate func sleepers() async throws -> Int? {
    Int(try await sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))
  }
}
