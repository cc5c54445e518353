import Foundation
import Support
import Testing
import WarmPool

@Suite(.timeLimit(.minutes(5))) struct ReadmeTests {
  // The README shows what stands between the two lines of dashes.
  private func example(_ url: String) async throws -> Int {
    // ----
    let pool = try WarmPool(WarmPool.Configuration(databaseURL: url))
    async let running: Void = pool.run()
    try await pool.warmed(within: .seconds(30))

    struct User: Decodable { var id: Int; var name: String; var seen: Timestamp? }
    let users = try await pool.withConnection { db in
      try await db.query("SELECT id, name, seen FROM users WHERE id < $1", [100], as: User.self)
    }
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

  @Test("the example of the README runs")
  func runs() async throws {
    try await withPostgres { server in
      try await server.sql(
        """
        CREATE TABLE users (id int, name text, seen timestamptz);
        INSERT INTO users VALUES (42, 'Ada', NULL), (100, 'Grace', now())
        """)
      #expect(try await example(server.unixURL) == 1)
      #expect(try await server.sql("SELECT count(*) FROM users WHERE id = 42 AND seen IS NOT NULL") == "1")
    }
  }

  @Test("the README shows the example as it is compiled")
  func isTheSame() throws {
    let here = URL(fileURLWithPath: #filePath)
    let package = here.deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let readme = try String(contentsOf: package.appendingPathComponent("README.md"), encoding: .utf8)
    let source = try String(contentsOf: here, encoding: .utf8)
    let shown = try #require(
      readme.components(separatedBy: "<!-- example -->\n```swift\n").last?.components(separatedBy: "\n```\n")
        .first)
    let compiled = try #require(source.components(separatedBy: "    // ----\n").dropFirst().first)
    let lines = compiled.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map {
      String($0.dropFirst(4))
    }
    #expect(shown == lines.joined(separator: "\n"))
  }
}
