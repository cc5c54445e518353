import PoolCore
import Support
import Testing
import WarmPool

/// Statements that meet a dead connection: the first of a lease moves to another one, nothing else ever runs twice.
@Suite(.timeLimit(.minutes(10))) struct FirstStatementTests {
  @Test("the first statement of a lease moves to another connection if its own is dead; once")
  func first() async throws {
    try await withPool({ $0.maxConnections = 3 }) { running, postgres in
      try await running.pool.warmed(within: .seconds(20))
      let (before, after, answer) = try await running.pool.withConnection { db in
        let before = db.backendPID
        try await end(before, on: postgres, seenBy: running)
        let answer = try await db.query("SELECT pg_backend_pid()")[0, 0]
        return (before, db.backendPID, answer)
      }
      #expect(before != after)
      #expect(answer == "\(after)")
      #expect(running.pool.snapshot.counters.exchanges == 1)
      #expect(await eventually { running.pool.snapshot.pool.leased == 0 })
      #expect(running.pool.snapshot.counters.impossibleEvents == 0)
      #expect(!running.phases.contains(.unready))
    }
  }

  @Test("it moves before callers who have waited since have their turn, and they have it after")
  func beforeWaiters() async throws {
    try await withPool({
      $0.minConnections = 3
      $0.maxConnections = 3
    }) { running, postgres in
      let pool = running.pool
      try await pool.warmed(within: .seconds(20))
      let (served, serve) = AsyncStream.makeStream(of: String.self)
      try await withThrowingTaskGroup { group in
        try await pool.withConnection { db in
          try await pool.withConnection { _ in
            for number in 1...3 {
              group.addTask {
                try await pool.withConnection { _ in _ = serve.yield("waiter \(number)") }
              }
              #expect(await eventually { pool.snapshot.pool.waiting == number })
            }
            try await end(db.backendPID, on: postgres, seenBy: running)
            _ = try await db.query("SELECT 1")
            serve.yield("moved")
          }
        }
        try await group.waitForAll()
      }
      serve.finish()
      #expect(
        await served.reduce(into: []) { $0.append($1) } == ["moved", "waiter 1", "waiter 2", "waiter 3"])
      #expect(pool.snapshot.counters.exchanges == 1)
    }
  }

  @Test("BEGIN is a first statement too: a transaction moves as a whole")
  func transaction() async throws {
    try await withPool({ $0.maxConnections = 3 }) { running, postgres in
      _ = try await postgres.sql("CREATE TABLE moved (value int)")
      try await running.pool.warmed(within: .seconds(20))
      try await running.pool.withConnection { db in
        try await end(db.backendPID, on: postgres, seenBy: running)
        try await db.withTransaction { db in _ = try await db.query("INSERT INTO moved VALUES (1)") }
      }
      #expect(try await postgres.sql("SELECT count(*) FROM moved") == "1")
      #expect(running.pool.snapshot.counters.exchanges == 1)
    }
  }

  @Test("a later statement does not move, and its error says that nothing was sent")
  func later() async throws {
    try await withPool({ $0.maxConnections = 3 }) { running, postgres in
      try await running.pool.warmed(within: .seconds(20))
      let error = await #expect(throws: PoolError.self) {
        try await running.pool.withConnection { db in
          _ = try await db.query("SET search_path = public")
          try await end(db.backendPID, on: postgres, seenBy: running)
          _ = try await db.query("SELECT 1")
        }
      }
      #expect(error?.kind == .query)
      #expect(error?.maybeExecuted == false)
      #expect(error?.fault?.sqlState == .adminShutdown)
      #expect(running.pool.snapshot.counters.exchanges == 0)
    }
  }

  @Test("a first statement that may have reached the server does not move, and its error says so")
  func sent() async throws {
    try await withPool({ $0.maxConnections = 3 }) { running, postgres in
      try await running.pool.warmed(within: .seconds(20))
      let error = await #expect(throws: PoolError.self) {
        try await running.pool.withConnection { db in
          _ = try await db.query("SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(5)")
        }
      }
      #expect(error?.maybeExecuted == true)
      #expect(running.pool.snapshot.counters.exchanges == 0)
      #expect(try await ask(running.pool, "SELECT 1") == "1")
    }
  }

  @Test("with no connection to be had in time, the first statement fails with what ended its own")
  func nowhere() async throws {
    try await withPool({
      $0.minConnections = 2
      $0.maxConnections = 2
      $0.pool.acquireTimeout = .milliseconds(500)
    }) { running, postgres in
      try await running.pool.warmed(within: .seconds(20))
      let error = await #expect(throws: PoolError.self) {
        try await running.pool.withConnection { db in
          await postgres.kill()
          #expect(await eventually { running.pool.snapshot.phase == .unready })
          _ = try await db.query("SELECT 1")
        }
      }
      #expect(error?.kind == .query)
      #expect(error?.maybeExecuted == false)
      #expect(await eventually { running.pool.snapshot.pool.leased == 0 })
      try await postgres.start()
      try await running.pool.warmed(within: .seconds(30))
      #expect(try await ask(running.pool, "SELECT 1") == "1")
    }
  }

  /// Ends a session of the pool, and waits until the pool knows.
  private func end(_ pid: Int32, on postgres: TestPostgres, seenBy running: RunningPool) async throws {
    _ = try await postgres.sql("SELECT pg_terminate_backend(\(pid))")
    #expect(
      await eventually { running.pool.snapshot.faults.contains { $0.fault.sqlState == .adminShutdown } })
  }
}
