import Support
import Testing

/// At default settings, but for the floor where siblings are needed.
@Suite("the database dies", .serialized)
struct DatabaseDiesTests {
  @Test("SIGKILL of every server process: 503 within a second, and ready again when the server is back")
  func killed() async throws {
    try await withSidecarAndPostgres { sidecar, pg in
      try await sidecar.waitUntilReady()
      let observer = sidecar.observer(every: .milliseconds(5))
      #expect(await observer.first { _ in true }?.status == 200)
      let killed = ContinuousClock.now
      await pg.kill()
      let lost = try #require(await observer.first(since: killed) { $0.status != 200 })
      #expect(lost.answered.since(killed) < .seconds(1))
      #expect(lost.line?.hasPrefix("not ready: database lost: ") == true, "\(lost)")
      // A login has been tried since then, and one after it.
      #expect(await eventually { try await sidecar.status()["login"]["failures_in_row"].int ?? 0 > 2 })
      try await pg.start()
      try await sidecar.waitUntilReady()
      #expect(await observer.stop().statuses == [200, 503, 200])
      #expect(sidecar.process.isRunning)
    }
  }

  @Test(
    "a restart of the server: 503, and 200 within six seconds of its accepting connections, in the same process",
    arguments: [TestPostgres.Shutdown.fast, .immediate])
  func restarted(_ mode: TestPostgres.Shutdown) async throws {
    try await withSidecarAndPostgres { sidecar, pg in
      try await sidecar.waitUntilReady()
      let observer = sidecar.observer(every: .milliseconds(5))
      #expect(await observer.first { _ in true }?.status == 200)
      try await pg.stop(mode)
      let down = ContinuousClock.now
      // A server that is back before a login was tried is not missed at all.
      try #require(
        await observer.first(since: down, within: .seconds(20)) { $0.status == 503 } != nil,
        "\(observer.observations.changes)")
      try await pg.start()
      let accepting = ContinuousClock.now
      let back = try #require(
        await observer.first(since: accepting, within: .seconds(20)) { $0.status == 200 },
        "\(observer.observations.changes)")
      #expect(back.answered.since(accepting) < .seconds(6))
      // Both connections are open again, and nothing is wrong any more.
      #expect(
        await eventually {
          let isWhole = try await sidecar.status()["pool"]["open"].int == 2
          let body = try await sidecar.ready().body
          return isWhole && body == "ready\n"
        })
      let seen = await observer.stop()
      #expect(seen.statuses == [200, 503, 200])
      let status = try await sidecar.status()
      #expect(status["counters"]["ready_transitions"].int == 3)
      #expect(status["counters"]["impossible_events"].int == 0)
      #expect(sidecar.process.isRunning)
    }
  }

  @Test("pg_terminate_backend on one idle connection: replaced, readiness never lost, its siblings kept")
  func oneTerminated() async throws {
    try await withSidecarAndPostgres(["--min-connections", "4"]) { sidecar, pg in
      try await sidecar.waitUntilReady()
      let session = try await pg.session()
      let observer = sidecar.observer(every: .milliseconds(5))
      #expect(await observer.first { _ in true }?.status == 200)
      // The oldest is the probe's own, the others wait for callers.
      for which in [3, 0] {
        let before = try await session.warmgateBackends()
        try #require(before.count == 4)
        let victim = before[which]
        #expect(try await session.ask("select pg_terminate_backend(\(victim))") == "t")
        #expect(
          await eventually(every: .milliseconds(5)) {
            let backends = try await session.warmgateBackends()
            return backends.count == 4 && !backends.contains(victim)
          })
        let after = try await session.warmgateBackends()
        #expect(
          Set(after).isSuperset(of: Set(before).subtracting([victim])), "siblings of \(which) were closed")
        // Two ends within one second would be taken for a shutdown of the server.
        let ended = ContinuousClock.now
        #expect(await eventually { ContinuousClock.now > ended + .milliseconds(1100) })
        #expect(try await session.warmgateBackends() == after)
      }
      #expect(try await sidecar.ready().body == "ready\n")
      #expect(await observer.stop().statuses == [200])
      #expect(try await sidecar.status()["generation"].int == 1)
      // Two that were ended and two in their place: nothing else was closed.
      #expect(try await sidecar.status()["counters"]["logins_succeeded"].int == 6)
    }
  }
}
