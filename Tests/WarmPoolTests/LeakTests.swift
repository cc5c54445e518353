import PoolCore
import Support
import Testing
import WarmPool

/// Leases that are held for too long.
@Suite(.timeLimit(.minutes(10))) struct LeakTests {
  @Test(
    "a lease held beyond leak-after is reported once, with file, line and task, and again when it is returned"
  )
  func reported() async throws {
    try await withPool({ $0.pool.leakAfter = .milliseconds(300) }) { running, _ in
      let pool = running.pool
      try await pool.warmed(within: .seconds(20))
      let (holds, release) = AsyncStream.makeStream(of: Void.self)
      let line: UInt = #line + 2
      let holder = Task(name: "nightly report") {
        try await pool.withConnection { db in
          for await _ in holds {}
          return try await db.query("SELECT 42")[0, 0]
        }
      }
      #expect(await eventually { !running.leaks.isEmpty })
      let leak = try #require(running.leaks.first)
      #expect(leak.site == "WarmPoolTests/LeakTests.swift:\(line)" && leak.task == "nightly report")
      #expect(leak.held >= .milliseconds(300))
      #expect(
        await eventually {
          pool.snapshot.leaks.first?.site == "WarmPoolTests/LeakTests.swift:\(line) (task nightly report)"
        })
      // One report, however long it goes on, and meanwhile others come and go in time.
      let since = try #require(pool.snapshot.leaks.first?.since)
      #expect(
        await eventually {
          try await pool.withConnection { db in _ = try await db.query("SELECT 1") }
          return WarmPool.now() - since > .milliseconds(1500)
        })
      #expect(running.leaks == [leak] && running.leaksReturned.isEmpty)
      #expect(pool.snapshot.counters.leaks == 1)
      release.finish()
      // It was never closed.
      #expect(try await holder.value == "42")
      #expect(await eventually { running.leaksReturned.count == 1 && pool.snapshot.leaks.isEmpty })
      let returned = try #require(running.leaksReturned.first)
      #expect(returned.lease == leak.lease && returned.site == leak.site && returned.task == leak.task)
      #expect(returned.held >= .milliseconds(1500))
      #expect(pool.snapshot.counters.closes.isEmpty && pool.snapshot.counters.leaks == 1)
    }
  }

  @Test("a transaction is reported where it was asked for")
  func transaction() async throws {
    try await withPool({ $0.pool.leakAfter = .milliseconds(300) }) { running, postgres in
      let pool = running.pool
      try await pool.warmed(within: .seconds(20))
      let line: UInt = #line + 1
      try await pool.withTransaction { db in
        _ = try await db.query("SELECT 1")
        #expect(await eventually { running.leaks.count == 1 })
      }
      #expect(running.leaks.map(\.site) == ["WarmPoolTests/LeakTests.swift:\(line)"])
      #expect(running.leaks.first?.task == nil)
      #expect(await eventually { running.leaksReturned.count == 1 })
    }
  }
}
