import Support
import Testing
import WarmPool

@Suite(.timeLimit(.minutes(5))) struct TransactionExample {
  private struct Overdrawn: Error {}

  private func transfer(_ amount: Int, _ pool: WarmPool) async throws {
    // ----
    let options = TransactionOptions(isolation: .serializable)
    try await pool.withTransaction(options, retry: TransactionRetry(attempts: 5)) { db in
      let balance = try await db.query("SELECT balance FROM accounts WHERE id = 1", as: Int.self).first ?? 0
      if balance < amount { throw Overdrawn() }  // rolled back
      _ = try await db.query("UPDATE accounts SET balance = balance - $1 WHERE id = 1", [Parameter(amount)])
      _ = try await db.query("UPDATE accounts SET balance = balance + $1 WHERE id = 2", [Parameter(amount)])
    }
    // ----
  }

  private func nested(_ pool: WarmPool) async throws {
    // ----
    try await pool.withTransaction { db in
      _ = try await db.query("INSERT INTO orders VALUES (1)")
      do {
        try await db.withTransaction { db in _ = try await db.query("INSERT INTO coupons VALUES (NULL)") }
      } catch let error as PoolError where error.fault?.sqlState?.errorClass == "23" {
        // A constraint refused the coupon. The savepoint is rolled back, the order stands.
      }
    }
    // ----
  }

  private func once(_ pool: WarmPool, _ order: Int) async throws -> Bool {
    // ----
    do {
      try await pool.withTransaction { db in
        _ = try await db.query("INSERT INTO orders VALUES ($1)", [Parameter(order)])
      }
      return true
    } catch let error as PoolError where error.kind == .commitUnknown {
      // The answer to COMMIT was lost. Only the database knows, so ask it.
      return try await pool.withConnection { db in
        try await db.query("SELECT FROM orders WHERE number = $1", [Parameter(order)]).rowCount == 1
      }
    }
    // ----
  }

  private func withTables(_ body: (WarmPool, TestPostgres) async throws -> Void) async throws {
    try await withPool({ $0.pool.acquireTimeout = .seconds(30) }) { running, server in
      try await server.sql(
        """
        CREATE TABLE accounts (id int PRIMARY KEY, balance int);
        INSERT INTO accounts VALUES (1, 100), (2, 0);
        CREATE TABLE orders (number int PRIMARY KEY);
        CREATE TABLE coupons (code text NOT NULL)
        """)
      try await running.pool.warmed(within: .seconds(20))
      try await body(running.pool, server)
    }
  }

  @Test("a transfer is done whole, or not at all; two at once do not lose each other")
  func transfers() async throws {
    try await withTables { pool, server in
      let balances = "SELECT string_agg(balance::text, ' ' ORDER BY id) FROM accounts"
      async let first: Void = transfer(30, pool)
      async let second: Void = transfer(20, pool)
      _ = try await (first, second)
      #expect(try await server.sql(balances) == "50 50")
      await #expect(throws: Overdrawn.self) { try await transfer(60, pool) }
      #expect(try await server.sql(balances) == "50 50")
    }
  }

  @Test("a savepoint that fails leaves the transaction whole")
  func savepoint() async throws {
    try await withTables { pool, server in
      try await nested(pool)
      #expect(try await server.sql("SELECT count(*) FROM orders") == "1")
      #expect(try await server.sql("SELECT count(*) FROM coupons") == "0")
    }
  }

  @Test("after a lost answer to COMMIT, the database is asked")
  func unknown() async throws {
    try await withTables { pool, server in
      #expect(try await once(pool, 1))
      // Its session ends while it commits.
      try await server.sql(
        """
        CREATE FUNCTION strike() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(10); RETURN NULL;
        END $$;
        CREATE CONSTRAINT TRIGGER strike AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED
          FOR EACH ROW EXECUTE FUNCTION strike()
        """)
      #expect(try await !once(pool, 2))
      #expect(try await server.sql("SELECT count(*) FROM orders") == "1")
    }
  }
}
