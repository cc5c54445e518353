import Support
import Testing
import WarmPool

@Suite(.timeLimit(.minutes(5))) struct RecoveryExample {
  private func charge(_ order: Int, on pool: WarmPool) async throws -> Bool {
    let sql = "INSERT INTO charges VALUES ($1) ON CONFLICT DO NOTHING"
    // ----
    do {
      try await pool.withConnection { db in _ = try await db.query(sql, [Parameter(order)]) }
    } catch let error as PoolError where error.maybeExecuted {
      // It may have happened. This statement does no harm when it runs twice, so: once more.
      try await pool.withConnection { db in _ = try await db.query(sql, [Parameter(order)]) }
      return true
    }
    // ----
    return false
  }

  @Test("a statement that may have been executed is known as such")
  func maybe() async throws {
    try await withPool({ $0.pool.acquireTimeout = .seconds(30) }) { running, server in
      try await server.sql("CREATE TABLE charges (number int PRIMARY KEY)")
      try await running.pool.warmed(within: .seconds(20))
      #expect(try await !charge(1, on: running.pool))
      // The session of whoever inserts 2 ends while it does, once.
      try await server.sql(
        """
        CREATE SEQUENCE times;
        CREATE FUNCTION strike() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          IF NEW.number = 2 AND nextval('times') = 1 THEN
            PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(10);
          END IF;
          RETURN NEW;
        END $$;
        CREATE TRIGGER strike BEFORE INSERT ON charges FOR EACH ROW EXECUTE FUNCTION strike()
        """)
      #expect(try await charge(2, on: running.pool))
      #expect(try await server.sql("SELECT count(*) FROM charges") == "2")
    }
  }
}
