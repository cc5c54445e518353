import PoolCore
import Support
import Testing
import WarmPool

/// Callers while no connection is left, and attempts to get one fail.
@Suite(.timeLimit(.minutes(10))) struct BreakerTests {
  private func refusal(
    _ pool: WarmPool, timeout: Duration = .seconds(120)
  ) async -> PoolError? {
    await #expect(throws: PoolError.self) { try await pool.withConnection(timeout: timeout) { _ in } }
  }

  private func isOpen(_ error: PoolError?) -> Bool {
    if case .circuitOpen(because: let cause, nextAttempt: _) = error?.refusal {
      cause?.kind == .refused
    } else {
      false
    }
  }

  @Test(
    "five failures over five seconds: callers are refused at once with the cause, until the probe is answered"
  )
  func outage() async throws {
    try await withPool({ $0.probeQuery = "SELECT count(*) FROM gate" }) { running, postgres in
      let pool = running.pool
      _ = try await postgres.sql("CREATE TABLE gate ()")
      try await pool.warmed(within: .seconds(30))
      // Before it goes: once it is back, the pool may be quicker than any statement of ours.
      _ = try await postgres.sql("DROP TABLE gate")
      await postgres.kill()
      // Whoever waits is refused when it opens, long before its own time is up.
      let patient = Task { await refusal(pool) }
      #expect(isOpen(await patient.value))
      // What others see follows at the end of the pool's turn.
      #expect(await eventually { pool.snapshot.breaker.state != .closed })
      let report = pool.snapshot.breaker
      #expect(report.because?.kind == .refused)
      let first = try #require(pool.snapshot.faults.first { $0.fault.kind == .refused })
      #expect(first.count >= 5)
      #expect(report.since - first.first >= .seconds(5))
      #expect(running.breakers.first.map { $0 != .closed } == true)

      let began = ContinuousClock.now
      for _ in 0..<100 {
        let error = await refusal(pool)
        #expect(isOpen(error) && error?.fault?.kind == .refused)
        #expect(error?.description.contains("connection refused") == true)
        #expect(error?.pool.open == 0)
      }
      // Each was ready to wait for two minutes.
      #expect(ContinuousClock.now - began < .seconds(60))
      #expect(await eventually { pool.snapshot.counters.acquireFailures["circuit_open"] == 101 })

      // Each attempt is half-open for as long as it lasts.
      #expect(await eventually { running.breakers.contains(.halfOpen) && running.breakers.contains(.open) })

      // A login that works is not enough.
      try await postgres.start()
      #expect(await eventually { pool.snapshot.probe.last?.fault?.sqlState?.code == "42P01" })
      #expect(pool.snapshot.pool.open > 0 && pool.snapshot.breaker.state == .halfOpen)
      let still = await refusal(pool)
      guard case .circuitOpen = still?.refusal else {
        Issue.record("\(String(describing: still))")
        return
      }
      _ = try await postgres.sql("CREATE TABLE gate ()")
      #expect(
        await eventually { pool.snapshot.breaker.state == .closed && running.breakers.last == .closed })
      #expect(pool.snapshot.breaker.because == nil)
      #expect(running.breakers.count { $0 == .closed } == 1)
      #expect(try await ask(pool, "SELECT 42") == "42")
      #expect(pool.snapshot.counters.impossibleEvents == 0)
    }
  }

  @Test("it never opens while a connection works, and every refusal carries the last connect failure")
  func working() async throws {
    try await withPostgres { postgres in
      let address = try MovableAddress(to: postgres)
      let running = try RunningPool(postgres) {
        $0.databaseURL = address.url
        $0.pool.maxWaiting = 1
      }
      async let life: Void = running.pool.run()
      let pool = running.pool
      try await pool.warmed(within: .seconds(20))
      try await pool.withConnection { db in
        _ = try await db.query("SELECT 1")
        try address.lead(to: nil)
        _ = try await postgres.sql(
          """
          SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE application_name = 'warmgate/test' AND pid <> \(db.backendPID)
          """)
        #expect(
          await eventually(within: .seconds(60)) {
            let login = pool.snapshot.login
            let since = pool.snapshot.faults.first { $0.fault.kind == .refused }?.first
            return login.failuresInRow > 5 && since.map { WarmPool.now() - $0 > .seconds(6) } == true
          })
        #expect(running.breakers.isEmpty && pool.snapshot.breaker.state == .closed)
        let answer = try await db.query("SELECT 42")[0, 0]
        #expect(answer == "42")

        let late = Task { await refusal(pool, timeout: .seconds(1)) }
        #expect(await eventually { pool.snapshot.pool.waiting == 1 })
        let full = await refusal(pool)
        let timedOut = await late.value
        #expect(full?.refusal == .queueFull(limit: 1) && full?.fault?.kind == .refused)
        if case .timedOut = timedOut?.refusal {} else { Issue.record("\(String(describing: timedOut))") }
        for error in [full, timedOut] {
          #expect(error?.fault?.kind == .refused)
          #expect(error?.pool.leased == 1)
          #expect(error?.description.contains("connection refused") == true)
        }
        // The connection that works goes to the probe when it comes back; the breaker has nothing to open for.
      }
      #expect(await eventually { pool.snapshot.phase == .ready })
      #expect(running.breakers.isEmpty)
      let drain = Task { try await pool.drain() }
      #expect(await eventually { pool.snapshot.phase == .drained })
      _ = try await drain.value
      let draining = await refusal(pool)
      #expect(draining?.refusal == .draining && draining?.fault?.kind == .refused)
      _ = try? await pool.terminate(within: .seconds(1))
      await life
    }
  }
}
