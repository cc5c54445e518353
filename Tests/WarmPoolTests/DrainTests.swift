import PoolCore
import Support
import Testing
import WarmPool

@Suite(.timeLimit(.minutes(10))) struct DrainTests {
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
      #expect(await eventually { try await postgres.sessions(like: "warmgate/test") == 0 })
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
        // Who comes now is told the same, at once.
        let late = await #expect(throws: PoolError.self) {
          try await running.pool.withConnection(timeout: .seconds(60)) { _ in }
        }
        #expect(late?.kind == .acquire(.draining))
        return counts
      }
      let progress = try await counts.value
      #expect(progress.inUse == 1)
      #expect(progress.finished == 1)
      #expect(progress.cut == 0)
      #expect(progress.refused == 1)
    }
  }

  @Test("in lame duck, a caller that waits is handed the connection that comes back")
  func lameDuckServesWaiters() async throws {
    try await withPool({
      $0.pool.drainDelay = .seconds(3)
      $0.pool.drainTimeout = .seconds(60)
      $0.maxConnections = 2
    }) { running, _ in
      try await running.pool.warmed(within: .seconds(20))
      let (counts, served) = try await running.pool.withConnection { _ in
        let counts = Task { try await running.pool.drain() }
        #expect(await eventually { running.pool.snapshot.phase == .draining })
        let waiter = Task {
          try await running.pool.withConnection(timeout: .seconds(30)) { db in
            _ = try await db.query("SELECT 1")
            return running.pool.snapshot.drain?.stage
          }
        }
        #expect(await eventually { running.pool.snapshot.pool.waiting == 1 })
        #expect(running.pool.snapshot.drain?.stage == .lameDuck)
        return (counts, waiter)
      }
      #expect(try await served.value == .lameDuck)
      let progress = try await counts.value
      #expect(progress.refused == 0)
      #expect(progress.cut == 0)
    }
  }

  @Test("lame duck goes on while leases are taken, and ends a second after the last")
  func lameDuckUntilQuiet() async throws {
    try await withPool({
      $0.pool.drainDelay = .zero
      $0.pool.drainTimeout = .seconds(60)
    }) { running, _ in
      try await running.pool.warmed(within: .seconds(20))
      try await running.pool.withConnection { _ in }
      let counts = Task { try await running.pool.drain() }
      #expect(await eventually { running.pool.snapshot.phase == .draining })
      let end = ContinuousClock.now + .seconds(3)
      while ContinuousClock.now < end { try await running.pool.withConnection { _ in } }
      let last = WarmPool.now()
      let progress = try await counts.value
      let ended = try #require(progress.ended)
      #expect(ended - progress.began >= .seconds(3))
      // The last lease was taken just before `last`.
      #expect(ended - last > .milliseconds(800))
      #expect(ended - last < .seconds(20))
    }
  }

  @Test("a termination serves the delay to those who have just taken leases, and to nobody else")
  func terminationDelay() async throws {
    for isUsed in [true, false] {
      try await withPool({
        $0.pool.drainDelay = .seconds(2)
        $0.pool.drainTimeout = .seconds(60)
      }) { running, _ in
        try await running.pool.warmed(within: .seconds(20))
        if isUsed { try await running.pool.withConnection { _ in } }
        let progress = try await running.pool.terminate()
        let took = try #require(progress.ended) - progress.began
        if isUsed { #expect(took >= .seconds(2)) } else { #expect(took < .seconds(2)) }
      }
    }
  }

  @Test("the deadline is kept to a second when a lease never ends")
  func deadline() async throws {
    try await withPool({ $0.pool.drainDelay = .zero }) { running, postgres in
      let onTime = Duration.milliseconds(-50)...Duration.seconds(1)
      var late: [Duration] = []
      // A busy machine may be late once; a rule is late each time.
      while late.count < 3, !late.contains(where: onTime.contains) {
        try await running.pool.warmed(within: .seconds(20))
        let (holds, release) = AsyncStream.makeStream(of: Void.self)
        let lease = Task { try await running.pool.withConnection { _ in for await _ in holds {} } }
        #expect(await eventually { running.pool.snapshot.pool.leased == 1 })
        let began = ContinuousClock.now
        let progress = try await running.pool.drain(within: .seconds(3))
        late.append(ContinuousClock.now - began - .seconds(3))
        #expect(progress.inUse == 1 && progress.cut == 1 && progress.finished == 0)
        // Although its holder has not even noticed.
        #expect(await eventually { try await postgres.sessions(like: "warmgate/test") == 0 })
        release.finish()
        _ = try? await lease.value
        try await running.pool.resume()
      }
      #expect(late.contains(where: onTime.contains), "late by \(late)")
      // The cut one, too, ended with Terminate.
      #expect(postgres.countInLog(matching: "unexpected EOF") == 0)
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
      // Long enough for many a login.
      #expect(await !eventually(within: .seconds(1)) { postgres.connectionsReceived > 0 })
      try await running.pool.resume()
      try await running.pool.warmed(within: .seconds(20))
    }
  }
}
