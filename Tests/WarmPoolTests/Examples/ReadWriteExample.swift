import Support
import Testing
import WarmPool

@Suite(.timeLimit(.minutes(5))) struct ReadWriteExample {
  private func whole(_ url: String, log: (String) -> Void) async throws -> [String] {
    // ----
    var configuration = WarmPool.Configuration(databaseURL: url)  // postgresql://app@db1,db2,db3/shop
    configuration.maxReplayLag = .seconds(10)
    let pool = try ReadWritePool(configuration)
    async let running: Void = pool.run()
    try await pool.warmed(within: .seconds(30))
    try await pool.withConnection(.write) { db in _ = try await db.query("DELETE FROM carts WHERE id = 42") }
    let names = try await pool.query(.read, "SELECT name FROM users", as: String.self)
    let verdict = pool.snapshot.verdict(at: WarmPool.now())
    log("\(verdict)")  // ready: primary: ready; standby db1:5432: is the primary; standby db2:5432: ready; …
    try await pool.terminate(within: .seconds(25))
    await running
    // ----
    #expect(verdict.isReady)
    return names
  }

  @Test("the example of reading and writing runs")
  func runs() async throws {
    try await withReplication(standbys: 1) { _, servers in
      try await servers.primary.sql(
        """
        CREATE TABLE carts (id int); INSERT INTO carts VALUES (42);
        CREATE TABLE users (name text); INSERT INTO users VALUES ('Ada')
        """)
      #expect(await eventually { try await servers.standbys[0].sql("SELECT name FROM users") == "Ada" })
      var logged: [String] = []
      #expect(try await whole(servers.url, log: { logged.append($0) }) == ["Ada"])
      #expect(logged.first?.contains(": primary: ready; standby ") == true)
      #expect(try await servers.primary.sql("SELECT count(*) FROM carts") == "0")
    }
  }
}
