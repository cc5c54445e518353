import PoolCore
import Support
import Testing
import WarmPool

@Suite(.timeLimit(.minutes(2))) struct DrainTests {
  @Test("a drain says no at once, serves leases and waiters meanwhile, and ends with Terminate")
  func drains() async throws {
    try await withPool({
      $0.pool.drainDelay = .seconds(2)
      $0.maxConnections = 2
    }) { running, postgres in
      try await running.pool.warmed(within: .seconds(20))
      async let counts = running.pool.drain()
      #expect(await eventually { running.verdict.reasons == [.draining] })
      // Lame duck: traffic still arrives.
      try await running.pool.withConnection { db in _ = try await db.query("SELECT 1") }
      let progress = try await counts
      #expect(progress.stage == .done)
      #expect(progress.cut == 0)
      #expect(running.pool.snapshot.phase == .drained)
      #expect(try await postgres.sessions(like: "warmgate/test") == 0)
      #expect(postgres.countInLog(matching: "unexpected EOF") == 0)
      #expect(postgres.countInLog(matching: "FATAL") == 0)
      let refused = await #expect(throws: PoolError.self) { try await running.pool.withConnection { _ in } }
      #expect(refused?.kind == .acquire(.draining))
    }
  }

  @Test("in closing, leases in use finish, and those who wait are refused")
  func closing() async throws {
    try await withPool({
      $0.pool.drainDelay = .zero
      $0.maxConnections = 2
    }) { running, _ in
      try await running.pool.warmed(within: .seconds(20))
      let counts = try await running.pool.withConnection { _ in
        async let waiter: Void = running.pool.withConnection(timeout: .seconds(30)) { _ in }
        #expect(await eventually { running.pool.snapshot.pool.waiting == 1 })
        let counts = Task { try await running.pool.drain() }
        do {
          try await waiter
          Issue.record("served in closing")
        } catch let error as PoolError {
          #expect(error.kind == .acquire(.draining))
        }
        #expect(running.pool.snapshot.drain?.stage == .closing)
        return counts
      }
      let progress = try await counts.value
      #expect(progress.inUse == 1)
      #expect(progress.finished == 1)
      #expect(progress.cut == 0)
      #expect(progress.refused == 1)
    }
  }

  @Test("a lease that never ends is cut off at the deadline, and a second drain joins the first")
  func cutOff() async throws {
    try await withPool({ $0.pool.drainDelay = .zero }) { running, _ in
      try await running.pool.warmed(within: .seconds(20))
      let lease = Task {
        try await running.pool.withConnection { db in _ = try await db.query("SELECT pg_sleep(600)") }
      }
      #expect(await eventually { running.pool.snapshot.pool.leased == 1 })
      async let first = running.pool.drain(within: .seconds(60))
      async let second = running.pool.drain(within: .seconds(1))
      let counts = try await (first, second)
      #expect(counts.0 == counts.1)
      #expect(counts.0.cut == 1)
      await #expect(throws: PoolError.self) { try await lease.value }
    }
  }

  @Test("resume takes a drain back, tells those who wait for it, and warms again")
  func resume() async throws {
    try await withPool { running, postgres in
      try await running.pool.warmed(within: .seconds(20))
      try await running.pool.drain()
      #expect(running.pool.snapshot.phase == .drained)
      try await running.pool.resume()
      try await running.pool.warmed(within: .seconds(20))
      #expect(try await postgres.sessions(like: "warmgate/test") == 2)

      try await running.pool.withConnection { _ in
        let drain = Task { try await running.pool.drain() }
        #expect(await eventually { running.pool.snapshot.phase == .draining })
        try await running.pool.resume()
        let error = await #expect(throws: PoolError.self) { try await drain.value }
        #expect(error?.kind == .drainTakenBack)
      }
      #expect(await eventually { running.verdict.isReady })
    }
  }

  @Test("once it is ending for good, a resume is refused")
  func noResume() async throws {
    try await withPool { running, _ in
      try await running.pool.warmed(within: .seconds(20))
      try await running.pool.terminate()
      let error = await #expect(throws: PoolError.self) { try await running.pool.resume() }
      guard case .resumeRefused = error?.kind else {
        Issue.record("\(String(describing: error))")
        return
      }
    }
  }

  @Test("cancelling run ends the pool and its sessions")
  func cancelRun() async throws {
    try await withPostgres { postgres in
      let running = try RunningPool(postgres)
      let life = Task { await running.pool.run() }
      try await running.pool.warmed(within: .seconds(20))
      life.cancel()
      await life.value
      #expect(running.pool.snapshot.phase == .drained)
      #expect(await eventually { try await postgres.sessions(like: "warmgate/test") == 0 })
      #expect(postgres.countInLog(matching: "unexpected EOF") == 0)
    }
  }

  @Test("a pool that found a drain marker starts drained, connects to nothing, and can be resumed")
  func startsDrained() async throws {
    try await withPool({ $0.startDrained = true }) { running, postgres in
      #expect(running.verdict.reasons == [.drained])
      #expect(postgres.connectionsReceived == 0 || running.pool.snapshot.counters.loginsSucceeded == 0)
      try await running.pool.resume()
      try await running.pool.warmed(within: .seconds(20))
    }
  }
}
