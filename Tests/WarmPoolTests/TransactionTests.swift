import PoolCore
import Support
import Synchronization
import Testing
import WarmPool

@Suite(.timeLimit(.minutes(10))) struct TransactionTests {
  private struct Refused: Error, Equatable {}

  /// A pool over a server with an empty table `entry (value int)`.
  private func withTable(
    _ body: (WarmPool, TestPostgres) async throws -> Void
  ) async throws {
    try await withPool({ $0.maxConnections = 4 }) { running, postgres in
      _ = try await postgres.sql("CREATE TABLE entry (value int)")
      try await running.pool.warmed(within: .seconds(20))
      try await body(running.pool, postgres)
      #expect(await eventually { running.pool.snapshot.pool.leased == 0 })
      #expect(running.pool.snapshot.counters.impossibleEvents == 0)
    }
  }

  private func values(_ postgres: TestPostgres) async throws -> String {
    try await postgres.sql("SELECT coalesce(string_agg(value::text, ' ' ORDER BY value), 'none') FROM entry")
  }

  @Test("what the body did is committed when it returns, and rolled back when it throws")
  func commitOrRollBack() async throws {
    try await withTable { pool, postgres in
      let answer = try await pool.withTransaction { db in
        _ = try await db.query("INSERT INTO entry VALUES (1)")
        return "kept"
      }
      #expect(answer == "kept")
      await #expect(throws: Refused()) {
        try await pool.withTransaction { db in
          _ = try await db.query("INSERT INTO entry VALUES (2)")
          throw Refused()
        }
      }
      #expect(try await values(postgres) == "1")
      #expect(pool.snapshot.counters.closes.isEmpty)
    }
  }

  @Test("a failed statement says that nothing was executed; caught, COMMIT rolls back and that is an error")
  func failed() async throws {
    try await withTable { pool, postgres in
      let failed = await #expect(throws: PoolError.self) {
        try await pool.withTransaction { db in
          _ = try await db.query("INSERT INTO entry VALUES (1)")
          _ = try await db.query("SELECT 1/0")
        }
      }
      #expect(failed?.kind == .query && failed?.maybeExecuted == false)
      let caught = await #expect(throws: PoolError.self) {
        try await pool.withTransaction { db in
          _ = try await db.query("INSERT INTO entry VALUES (2)")
          _ = try? await db.query("SELECT 1/0")
        }
      }
      #expect(caught?.kind == .rolledBack && caught?.maybeExecuted == false)
      let left = try await values(postgres)
      #expect(left == "none")
    }
  }

  @Test("a transaction within a transaction is a savepoint: rolled back alone, and kept with the outer one")
  func nested() async throws {
    try await withTable { pool, postgres in
      try await pool.withTransaction { db in
        _ = try await db.query("INSERT INTO entry VALUES (1)")
        try? await db.withTransaction { db in
          _ = try await db.query("INSERT INTO entry VALUES (2)")
          try await db.withTransaction { db in _ = try await db.query("INSERT INTO entry VALUES (3)") }
          _ = try await db.query("SELECT 1/0")
        }
        try await db.withTransaction { db in
          _ = try await db.query("INSERT INTO entry VALUES (4)")
          try? await db.withTransaction { db in
            _ = try await db.query("INSERT INTO entry VALUES (5)")
            throw Refused()
          }
        }
      }
      #expect(try await values(postgres) == "1 4")
      // A lease may hold several, one after the other.
      try await pool.withConnection { db in
        try await db.withTransaction { db in _ = try await db.query("INSERT INTO entry VALUES (6)") }
        try? await db.withTransaction { db in
          _ = try await db.query("INSERT INTO entry VALUES (7)")
          throw Refused()
        }
        let left = try await db.query("SELECT count(*) FROM entry WHERE value = 7")[0, 0]
        #expect(left == "0")
      }
      #expect(try await values(postgres) == "1 4 6")
      #expect(pool.snapshot.counters.closes.isEmpty)
    }
  }

  @Test("in a transaction that the caller began with a statement it is a savepoint, and the caller ends it")
  func withinForeign() async throws {
    try await withTable { pool, postgres in
      try await pool.withConnection { db in
        _ = try await db.query("BEGIN")
        try await db.withTransaction { db in
          _ = try await db.query("INSERT INTO entry VALUES (1)")
          try await db.withTransaction { db in _ = try await db.query("INSERT INTO entry VALUES (2)") }
        }
        _ = try await db.query("ROLLBACK")
        _ = try await db.query("BEGIN")
        _ = try await db.query("INSERT INTO entry VALUES (3)")
        try? await db.withTransaction { db in
          _ = try await db.query("INSERT INTO entry VALUES (4)")
          throw Refused()
        }
        _ = try await db.query("COMMIT")
        // And one of its own after that is one again.
        try await db.withTransaction { db in _ = try await db.query("INSERT INTO entry VALUES (5)") }
      }
      #expect(try await values(postgres) == "3 5")
      #expect(pool.snapshot.counters.closes.isEmpty)
    }
  }

  @Test("isolation, read-only and deferrable are as asked for")
  func options() async throws {
    try await withTable { pool, _ in
      let options = TransactionOptions(isolation: .serializable, readOnly: true, deferrable: true)
      let shown = try await pool.withTransaction(options) { db in
        var shown: [String?] = []
        for name in ["isolation", "read_only", "deferrable"] {
          shown.append(try await db.query("SHOW transaction_\(name)")[0, 0])
        }
        return shown
      }
      #expect(shown == ["serializable", "on", "on"])
      for isolation in TransactionOptions.Isolation.allCases {
        let shown = try await pool.withTransaction(TransactionOptions(isolation: isolation)) { db in
          try await db.query("SHOW transaction_isolation")[0, 0]
        }
        #expect(shown == isolation.rawValue.lowercased())
      }
    }
  }

  @Test("a COMMIT that the database refuses has executed nothing")
  func refusedCommit() async throws {
    try await withTable { pool, postgres in
      _ = try await postgres.sql("ALTER TABLE entry ADD UNIQUE (value) DEFERRABLE INITIALLY DEFERRED")
      let error = await #expect(throws: PoolError.self) {
        try await pool.withTransaction { db in
          _ = try await db.query("INSERT INTO entry VALUES (1)")
          _ = try await db.query("INSERT INTO entry VALUES (1)")
        }
      }
      #expect(error?.kind == .query && error?.maybeExecuted == false)
      #expect(error?.fault?.sqlState?.code == "23505")
      #expect(try await values(postgres) == "none")
      #expect(pool.snapshot.counters.closes.isEmpty)
    }
  }

  @Test("a session that ends before the answer to COMMIT leaves it unknown, and the error says so")
  func lostCommit() async throws {
    try await withTable { pool, postgres in
      try await slowCommits(postgres)
      let committing = Task {
        try await pool.withTransaction(tag: "committing") { db in
          _ = try await db.query("INSERT INTO entry VALUES (1)")
        }
      }
      let terminate = """
        SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE application_name = 'committing' AND query = 'COMMIT' AND wait_event = 'PgSleep'
        """
      #expect(await eventually { try await postgres.sql(terminate) == "1" })
      do {
        try await committing.value
        Issue.record("committed")
      } catch let error as PoolError {
        #expect(error.kind == .commitUnknown)
        #expect(error.maybeExecuted)
        #expect(error.fault?.sqlState == .adminShutdown)
      }
    }
  }

  @Test("cancelled in its body, a transaction is rolled back; cancelled in COMMIT too, and that is certain")
  func cancelled() async throws {
    try await withTable { pool, postgres in
      let inserted = Count()
      let waiting = Task {
        try await pool.withTransaction { db in
          _ = try await db.query("INSERT INTO entry VALUES (1)")
          inserted.add()
          while !Task.isCancelled { await Task.yield() }
        }
      }
      #expect(await eventually { inserted.value == 1 })
      waiting.cancel()
      await #expect(throws: CancellationError.self) { try await waiting.value }
      #expect(try await values(postgres) == "none")
      #expect(await eventually { pool.snapshot.pool.leased == 0 })
      #expect(pool.snapshot.counters.closes.isEmpty)

      try await slowCommits(postgres)
      let committing = Task {
        try await pool.withTransaction(tag: "committing") { db in
          _ = try await db.query("INSERT INTO entry VALUES (2)")
        }
      }
      let isCommitting = """
        SELECT count(*) FROM pg_stat_activity
        WHERE application_name = 'committing' AND query = 'COMMIT' AND wait_event = 'PgSleep'
        """
      #expect(await eventually { try await postgres.sql(isCommitting) == "1" })
      committing.cancel()
      do {
        try await committing.value
        Issue.record("committed")
      } catch let error as PoolError {
        #expect(error.kind == .query && error.fault?.sqlState == .queryCanceled)
        #expect(!error.maybeExecuted)
      }
      #expect(try await values(postgres) == "none")
    }
  }

  @Test("a serialization failure and a deadlock run the body again if asked to, within the bound")
  func retries() async throws {
    try await withTable { pool, postgres in
      _ = try await postgres.sql("INSERT INTO entry VALUES (0)")
      let options = TransactionOptions(isolation: .serializable)
      let runs = Count()
      // Eight increments that conflict: without retries most of them fail.
      try await withThrowingTaskGroup { group in
        for _ in 0..<8 {
          group.addTask {
            try await pool.withTransaction(
              options, retry: TransactionRetry(attempts: 50), timeout: .seconds(60)
            ) {
              db in
              runs.add()
              let value = try await db.query("SELECT value FROM entry")[0, 0].flatMap { Int($0) } ?? -1
              _ = try await db.query("SELECT pg_sleep(0.01)")
              _ = try await db.query("UPDATE entry SET value = $1::int", [Parameter(value + 1)])
            }
          }
        }
        try await group.waitForAll()
      }
      #expect(try await values(postgres) == "8")
      #expect(runs.value > 8)

      let attempts = Count()
      let conflict = "DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40P01'; END $$"
      let error = await #expect(throws: PoolError.self) {
        try await pool.withTransaction(retry: TransactionRetry(attempts: 3)) { db in
          attempts.add()
          _ = try await db.query(conflict)
        }
      }
      #expect(error?.fault?.sqlState == .deadlockDetected)
      #expect(attempts.value == 3)
      _ = try? await pool.withTransaction { db in
        attempts.add()
        _ = try await db.query(conflict)
      }
      #expect(attempts.value == 4)
    }
  }

  /// Makes every COMMIT of an insertion wait.
  private func slowCommits(_ postgres: TestPostgres) async throws {
    _ = try await postgres.sql(
      """
      CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
      CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON entry DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION slow()
      """)
  }
}

private final class Count: Sendable {
  private let number = Mutex(0)
  var value: Int { number.withLock { $0 } }
  func add() { number.withLock { $0 += 1 } }
}
