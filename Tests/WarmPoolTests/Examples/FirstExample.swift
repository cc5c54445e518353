import Support
import Testing
import WarmPool

/// What the README and the landing page show.
@Suite(.timeLimit(.minutes(5))) struct FirstExample {
  private func whole(_ url: String) async throws -> Int {
    // ----
    let pool = try WarmPool(WarmPool.Configuration(databaseURL: url))
    async let running: Void = pool.run()
    try await pool.warmed(within: .seconds(30))

    struct User: Decodable { var id: Int; var name: String; var seen: Timestamp? }
    let users = try await pool.query("SELECT id, name, seen FROM users WHERE id < $1", [100], as: User.self)
    try await pool.withTransaction(retry: TransactionRetry()) { db in
      _ = try await db.query("UPDATE users SET seen = now() WHERE id = $1", [42], timeout: .seconds(1))
    }
    do {
      try await pool.withConnection(timeout: .milliseconds(200)) { db in _ = try await db.query("SELECT 1") }
    } catch let error as PoolError where error.refusal != nil {
      // No connection in time, and nothing was sent: answer from a cache, or refuse.
    }
    try await pool.terminate(within: .seconds(25))
    await running
    // ----
    return users.count
  }

  private func short(_ configuration: WarmPool.Configuration) async throws -> Int {
    // ----
    let pool = try WarmPool(configuration)
    async let running: Void = pool.run()
    try await pool.warmed(within: .seconds(30))
    let names = try await pool.query("SELECT name FROM users", as: String.self)
    try await pool.terminate(within: .seconds(25))
    await running
    // ----
    return names.count
  }

  private func rows(_ pool: WarmPool) async throws -> Int {
    try await pool.withConnection { db in
      // ----
      struct User: Decodable { var id: Int; var name: String; var seen: Timestamp? }
      let users = try await db.query("SELECT id, name, seen FROM users WHERE id < $1", [100], as: User.self)
      // ----
      return users.count
    }
  }

  @Test("the first examples run")
  func runs() async throws {
    try await withPool { running, server in
      try await server.sql(
        """
        CREATE TABLE users (id int, name text, seen timestamptz);
        INSERT INTO users VALUES (42, 'Ada', NULL), (100, 'Grace', now())
        """)
      // Its patience is short, and this machine may be slow.
      #expect(await eventually(within: .seconds(60)) { try await whole(server.unixURL) == 1 })
      #expect(try await server.sql("SELECT count(*) FROM users WHERE id = 42 AND seen IS NOT NULL") == "1")
      var configuration = WarmPool.Configuration(databaseURL: server.unixURL)
      configuration.pool.drainDelay = .zero
      #expect(try await short(configuration) == 2)
      #expect(try await rows(running.pool) == 1)
    }
  }
}
