import Support
import Testing
import WarmPool

@Suite(.timeLimit(.minutes(5))) struct StatementsExample {
  private func read(_ pool: WarmPool) async throws -> [Int] {
    // ----
    struct Item: Decodable { var id: Int; var name: String; var price: Int? }
    let cheap = try await pool.withConnection { db in
      try await db.query(
        "SELECT id, name, price FROM items WHERE price < $1 AND id = ANY($2)",
        [500, Parameter(array: [1, 2, 3])], as: Item.self)
    }
    // ----
    return cheap.map(\.id)
  }

  private func ask(_ pool: WarmPool) async throws -> [String] {
    // ----
    let names = try await pool.query("SELECT name FROM items WHERE price < $1", [500], as: String.self)
    // ----
    return names
  }

  private func stream(_ pool: WarmPool) async throws -> Int {
    var sum = 0
    // ----
    try await pool.withConnection { db in
      try await db.stream("SELECT id FROM generate_series(1, 100000) AS id") { row in
        sum += try row.decode(Int.self, at: 0)
      }
    }
    // ----
    return sum
  }

  private func pipeline(_ pool: WarmPool) async throws -> Int? {
    // ----
    let results = try await pool.withConnection { db in
      try await db.pipeline([
        Statement("INSERT INTO items VALUES ($1, $2, $3)", [10, "pen", 120]),
        Statement("INSERT INTO items VALUES ($1, $2, $3)", [11, "ink", 480]),
        Statement("SELECT count(*) FROM items"),
      ])
    }
    let count = results.last?[0, 0].flatMap { Int($0) }
    // ----
    return count
  }

  private func limited(_ pool: WarmPool) async throws -> String? {
    // ----
    try await pool.withConnection { db in
      do {
        _ = try await db.query("SELECT pg_sleep(60)", timeout: .milliseconds(100))
      } catch let error as PoolError where error.fault?.sqlState == .queryCanceled {
        // Stopped at the server. The connection is as good as before.
      }
      return try await db.query("SELECT 'still here'")[0, 0]
    }
    // ----
  }

  @Test("rows are decoded, streamed and batched; a statement that takes too long is stopped")
  func statements() async throws {
    try await withPool { running, server in
      try await server.sql(
        """
        CREATE TABLE items (id int, name text, price int);
        INSERT INTO items VALUES (1, 'cup', 400), (2, 'pot', 900), (3, 'gift', NULL)
        """)
      try await running.pool.warmed(within: .seconds(20))
      #expect(try await read(running.pool) == [1])
      #expect(try await ask(running.pool) == ["cup"])
      #expect(try await stream(running.pool) == 5_000_050_000)
      #expect(try await pipeline(running.pool) == 5)
      // A server that does not confirm within a second loses its connection, and this machine may be slow.
      #expect(await eventually { try await limited(running.pool) == "still here" })
    }
  }
}
