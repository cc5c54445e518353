import Glibc
import PoolCore
import Support
import Synchronization
import Testing
import WarmPool

/// Statements that the pool asks by itself, on whichever connection is free.
@Suite(.timeLimit(.minutes(10))) struct QueryTests {
  /// Each connection is asked something often enough to have it prepared.
  private static let rounds = 12

  @Test(
    "a statement of the pool's answers as one of a lease does, whether it is prepared there or not",
    arguments: [true, false])
  func answers(isPrepared: Bool) async throws {
    try await withPool({
      $0.maxConnections = 3
      $0.preparesStatements = isPrepared
    }) { running, _ in
      let pool = running.pool
      try await pool.warmed(within: .seconds(20))
      struct Sum: Decodable { var sum: Int }
      for number in 0..<Self.rounds {
        #expect(
          try await pool.query("SELECT $1::int + $2::int", [Parameter(number), 2])[0, 0] == "\(number + 2)")
        #expect(
          try await pool.query("SELECT $1::int + 1 AS sum", [Parameter(number)], as: Sum.self)[0].sum
            == number + 1)
        let error = await #expect(throws: PoolError.self) {
          try await pool.query("SELECT 1 / $1::int", [0])
        }
        #expect(error?.kind == .query && error?.fault?.sqlState?.code == "22012")
        #expect(error?.maybeExecuted == false)
      }
      #expect(await eventually { pool.snapshot.pool.leased == 0 })
      #expect(pool.snapshot.counters.closes.isEmpty)
      #expect(pool.snapshot.counters.leases == UInt64(3 * Self.rounds))
    }
  }

  @Test("hundreds of callers at once each get their own answer, and every connection comes back")
  func load() async throws {
    try await withPool({
      $0.maxConnections = 5
      $0.pool.maxWaiting = 1000
      $0.pool.acquireTimeout = .seconds(60)
    }) { running, postgres in
      let pool = running.pool
      try await pool.warmed(within: .seconds(20))
      try await withThrowingTaskGroup { group in
        for caller in 0..<200 {
          // Some of them on the pool's own thread.
          group.addTask(executorPreference: caller.isMultiple(of: 3) ? pool.executor : nil) {
            for round in 0..<20 {
              let number = caller * 100 + round
              let answer = try await pool.query("SELECT $1::int", [Parameter(number)])
              #expect(answer[0, 0] == "\(number)")
            }
          }
        }
        try await group.waitForAll()
      }
      #expect(await eventually { pool.snapshot.pool.leased == 0 && pool.snapshot.pool.waiting == 0 })
      #expect(pool.snapshot.counters.leases == 4000)
      #expect(pool.snapshot.counters.impossibleEvents == 0)
      #expect(try await postgres.sessions(like: "warmgate/test") <= 5)
    }
  }

  @Test("a transaction that a statement leaves open is rolled back before anybody else gets the connection")
  func leftOpen() async throws {
    try await withPool({ $0.maxConnections = 2 }) { running, postgres in
      let pool = running.pool
      try await pool.warmed(within: .seconds(20))
      for _ in 0..<Self.rounds {
        _ = try await pool.query("BEGIN")
        let error = await #expect(throws: PoolError.self) { try await pool.query("SAVEPOINT within") }
        #expect(error?.fault?.sqlState?.code == "25P01")
      }
      #expect(await eventually { pool.snapshot.pool.leased == 0 })
      let open = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
      #expect(try await postgres.sql(open) == "0")
    }
  }

  @Test("what the server has forgotten, or finds changed, is asked anew")
  func healed() async throws {
    try await withPool({ $0.maxConnections = 2 }) { running, postgres in
      let pool = running.pool
      try await pool.warmed(within: .seconds(20))
      _ = try await postgres.sql("CREATE TABLE shape (a int); INSERT INTO shape VALUES (1)")
      func columns() async throws -> Int { try await pool.query("SELECT * FROM shape").columns.count }
      for _ in 0..<Self.rounds { #expect(try await columns() == 1) }
      // Behind its back: as a pooler's other server would be.
      _ = try await pool.query("DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$")
      for _ in 0..<Self.rounds { #expect(try await columns() == 1) }
      _ = try await postgres.sql("ALTER TABLE shape ADD b int")
      for _ in 0..<Self.rounds { #expect(try await columns() == 2) }
      #expect(pool.snapshot.counters.closes.isEmpty)
    }
  }

  @Test("a statement that meets a dead connection moves to another one; it runs once")
  func moved() async throws {
    try await withPool({ $0.maxConnections = 3 }) { running, postgres in
      let pool = running.pool
      try await pool.warmed(within: .seconds(20))
      _ = try await postgres.sql("CREATE TABLE counter (number int)")
      let insert = "INSERT INTO counter VALUES ($1::int)"
      for number in 0..<Self.rounds { _ = try await pool.query(insert, [Parameter(number)]) }
      for number in 0..<5 {
        // Meanwhile the pool sees nothing: the statement comes before the news.
        let (isBlocked, blocks) = AsyncStream.makeStream(of: Void.self)
        let areEnded = Mutex(false)
        let statement = Task(executorPreference: pool.executor) {
          blocks.finish()
          while !areEnded.withLock({ $0 }) { usleep(1000) }
          _ = try await pool.query(insert, [Parameter(100 + number)])
        }
        for await _ in isBlocked {}
        let sessions = "pg_stat_activity WHERE application_name LIKE 'warmgate/test%'"
        _ = try await postgres.sql("SELECT pg_terminate_backend(pid) FROM \(sessions)")
        #expect(await eventually { try await postgres.sql("SELECT count(*) FROM \(sessions)") == "0" })
        areEnded.withLock { $0 = true }
        try await statement.value
        try await pool.warmed(within: .seconds(20))
      }
      // On a slow machine some have been idle for a second by then: those are asked first, and replaced.
      #expect(pool.snapshot.counters.exchanges > 0)
      #expect(try await postgres.sql("SELECT count(*) FROM counter") == "\(Self.rounds + 5)")
    }
  }

  @Test("one whose connection is lost while it runs is not asked again, and its error says so")
  func lost() async throws {
    try await withPool({ $0.maxConnections = 3 }) { running, postgres in
      let pool = running.pool
      try await pool.warmed(within: .seconds(20))
      let statement =
        "SELECT CASE WHEN $1::bool THEN pg_terminate_backend(pg_backend_pid()) END, pg_sleep($2::int)"
      for _ in 0..<5 {
        for _ in 0..<Self.rounds { _ = try await pool.query(statement, [false, 0]) }
        let error = await #expect(throws: PoolError.self) { try await pool.query(statement, [true, 5]) }
        #expect(error?.kind == .query && error?.maybeExecuted == true, "\(String(describing: error))")
      }
      #expect(pool.snapshot.counters.exchanges == 0)
      #expect(await eventually { pool.snapshot.pool.leased == 0 })
      #expect(pool.snapshot.counters.impossibleEvents == 0)
    }
  }

  @Test("the server's word that it only reads now is heard from it too")
  func readOnly() async throws {
    try await withPool({ $0.minConnections = 3 }) { running, postgres in
      let pool = running.pool
      try await pool.warmed(within: .seconds(20))
      _ = try await postgres.sql("CREATE TABLE counter (number int)")
      let insert = "INSERT INTO counter VALUES (1)"
      for _ in 0..<Self.rounds { _ = try await pool.query(insert) }
      try await postgres.reload(["default_transaction_read_only": "on"])
      #expect(await eventually { try await pool.query("SHOW transaction_read_only")[0, 0] == "on" })
      let error = await #expect(throws: PoolError.self) { try await pool.query(insert) }
      #expect(error?.fault?.sqlState == .readOnlyTransaction)
      #expect(await eventually { running.retirements.map { $0.fault?.sqlState } == [.readOnlyTransaction] })
    }
  }

  @Test("it waits, is refused and reported as any caller; thousands that wait end when the pool does")
  func limits() async throws {
    let waiters = 5000
    try await withPool({
      $0.maxConnections = 2
      $0.pool.maxWaiting = waiters
      $0.pool.acquireTimeout = .seconds(120)
      $0.pool.leakAfter = .milliseconds(200)
    }) { running, _ in
      let pool = running.pool
      try await pool.warmed(within: .seconds(20))
      try await withThrowingTaskGroup { group in
        // The probe's connection is nobody's.
        group.addTask { _ = try await pool.query("SELECT pg_sleep(600)") }
        #expect(await eventually { pool.snapshot.pool.leased == 1 && !running.leaks.isEmpty })
        #expect(running.leaks[0].site?.hasPrefix("WarmPoolTests/QueryTests.swift:") == true)
        for _ in 0..<waiters { group.addTask { _ = try await pool.query("SELECT 1") } }
        #expect(await eventually { pool.snapshot.pool.waiting == waiters })
        let full = await #expect(throws: PoolError.self) { try await pool.query("SELECT 1") }
        #expect(full?.kind == .acquire(.queueFull(limit: waiters)))
        _ = try await pool.terminate(within: .milliseconds(200))
        var refused = 0
        while let result = await group.nextResult() {
          let error = #expect(throws: PoolError.self) { try result.get() }
          if case .acquire? = error?.kind { refused += 1 }
        }
        #expect(refused == waiters)
      }
    }
  }

  @Test("thousands that wait are served one after the other by a single connection")
  func thousandsServed() async throws {
    let waiters = 5000
    try await withPool({
      $0.maxConnections = 2
      $0.pool.maxWaiting = waiters
      $0.pool.acquireTimeout = .seconds(120)
    }) { running, _ in
      let pool = running.pool
      try await pool.warmed(within: .seconds(20))
      let sum = try await withThrowingTaskGroup { group in
        for number in 0..<waiters {
          group.addTask { try await pool.query("SELECT $1::int", [Parameter(number)], as: Int.self)[0] }
        }
        return try await group.reduce(0, +)
      }
      #expect(sum == waiters * (waiters - 1) / 2)
    }
  }
}
