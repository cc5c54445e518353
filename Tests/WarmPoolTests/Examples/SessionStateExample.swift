import Support
import Testing
import WarmPool

@Suite(.timeLimit(.minutes(5))) struct SessionStateExample {
  private func local(_ pool: WarmPool) async throws -> String? {
    // ----
    try await pool.withTransaction { db in
      _ = try await db.query("SET LOCAL work_mem = '64MB'")  // gone with the transaction
      return try await db.query("SHOW work_mem")[0, 0]
    }
    // ----
  }

  private func discarded(_ pool: WarmPool) async throws -> Int {
    // ----
    try await pool.withConnection(resetting: .discardAll) { db in
      _ = try await db.query("SET work_mem = '64MB'")
      _ = try await db.query("CREATE TEMPORARY TABLE chosen (id int)")
      _ = try await db.query("INSERT INTO chosen VALUES (1), (2)")
      return try await db.query("SELECT FROM chosen").rowCount
    }
    // ----
  }

  private func tagged(_ pool: WarmPool, requestID: String) async throws -> String? {
    // ----
    try await pool.withConnection(tag: "checkout \(requestID)") { db in
      try await db.query("SHOW application_name")[0, 0]
    }
    // ----
  }

  /// What a lease finds that others have left behind.
  private func found(_ pool: WarmPool) async throws -> [String] {
    try await pool.withConnection { db in
      let rows = try await db.query(
        """
        SELECT 'work_mem ' || current_setting('work_mem') WHERE current_setting('work_mem') <> '4MB'
        UNION ALL SELECT 'table ' || relname FROM pg_class WHERE relname = 'chosen'
        UNION ALL SELECT 'lock' FROM pg_locks WHERE locktype = 'advisory'
        UNION ALL SELECT 'prepared ' || name FROM pg_prepared_statements WHERE from_sql
        UNION ALL SELECT 'name ' || current_setting('application_name')
          WHERE current_setting('application_name') <> 'warmgate/test'
        """)
      return rows.rows.compactMap { $0[0] }
    }
  }

  private func leave(_ pool: WarmPool) async throws {
    try await pool.withConnection { db in
      _ = try await db.query("SET work_mem = '64MB'")
      _ = try await db.query("CREATE TEMPORARY TABLE chosen (id int)")
      _ = try await db.query("SELECT pg_advisory_lock(1)")
      _ = try await db.query("PREPARE mine AS SELECT 1")
      // What is undone in any case.
      _ = try await db.query("BEGIN")
      _ = try await db.query("SET application_name = 'left'")
    }
  }

  private func discard(_ pool: WarmPool) async throws {
    try await pool.withConnection(resetting: .discardAll) { _ in }
  }

  @Test("what is set locally, discarded, or a tag is not found by the next lease")
  func clean() async throws {
    try await withPool({ $0.maxConnections = 2 }) { running, _ in
      try await running.pool.warmed(within: .seconds(20))
      #expect(try await local(running.pool) == "64MB")
      #expect(try await found(running.pool) == [])
      #expect(try await discarded(running.pool) == 2)
      #expect(try await found(running.pool) == [])
      #expect(try await tagged(running.pool, requestID: "7f3a") == "checkout 7f3a")
      #expect(try await found(running.pool) == [])
    }
  }

  @Test("what the article says stays is found by the next lease, and goes with DISCARD ALL")
  func stays() async throws {
    try await withPool({ $0.maxConnections = 2 }) { running, _ in
      try await running.pool.warmed(within: .seconds(20))
      let all = ["work_mem 64MB", "table chosen", "lock", "prepared mine"]
      // Again, if this machine is so slow that the connection is taken for dead in between.
      let isFound = await eventually {
        try await discard(running.pool)
        try await leave(running.pool)
        return try await found(running.pool) == all
      }
      #expect(isFound)
      try await discard(running.pool)
      #expect(try await found(running.pool) == [])
    }
  }
}
