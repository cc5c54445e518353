import EventLoop
import PoolCore
import Support
import Testing

@testable import Postgres

@Suite("statements that are asked again") struct PreparedStatementTests {
  private func withConnection(
    preparing: Bool = true, _ body: (Connection) async throws -> Void
  ) async throws {
    try await withPostgres { server in
      try await withLoop { loop in
        let connection = try await connector(server.unixURL, on: loop, preparing: preparing).login()
        try await body(connection)
        await connection.close()
      }
    }
  }

  private static let preparedCount = "select count(*) from pg_prepared_statements where statement <> $1"

  /// How many the server has prepared for this session, this question aside.
  private func preparedCount(_ connection: Connection) async throws -> Int {
    let answer = try await connection.query(Self.preparedCount, [Parameter(Self.preparedCount)])
    return try #require(answer[0, 0].flatMap { Int($0) })
  }

  private func expect(
    _ connection: Connection, _ sql: String, is value: String, columns: [String]? = nil,
    at place: SourceLocation = #_sourceLocation
  ) async throws {
    let answer = try await connection.query(sql)
    #expect(answer[0, 0] == value, sourceLocation: place)
    if let columns { #expect(answer.columns == columns, sourceLocation: place) }
  }

  private func expectFailure(
    _ connection: Connection, _ sql: String, _ code: String, at place: SourceLocation = #_sourceLocation
  ) async {
    do throws(QueryError) {
      _ = try await connection.query(sql)
      Issue.record("it did not fail", sourceLocation: place)
    } catch {
      #expect(error.connectionUsable, sourceLocation: place)
      #expect(error.fault.kind == SQLState(code).map { .server($0) }, sourceLocation: place)
    }
  }

  @Test("the second time it is prepared, and answers the same, with its parameters")
  func prepared() async throws {
    try await withConnection { connection in
      for (round, expected) in [0, 1, 1].enumerated() {
        let answer = try await connection.query("select $1::int + 1, $2::text", [Parameter(round), nil])
        #expect(answer[0, 0] == String(round + 1) && answer[0, 1] == nil)
        let count = try await preparedCount(connection)
        #expect(count == expected)
      }
    }
  }

  @Test("it survives DISCARD ALL, and a result that has changed its shape")
  func healed() async throws {
    try await withConnection { connection in
      _ = try await connection.query("create temp table t as select 1 as a")
      for _ in 0..<3 { try await expect(connection, "select * from t", is: "1", columns: ["a"]) }
      _ = try await connection.query("alter table t add column b int default 2")
      for _ in 0..<3 { try await expect(connection, "select * from t", is: "1", columns: ["a", "b"]) }
      let count = try await preparedCount(connection)
      #expect(count == 1)

      for _ in 0..<3 { try await expect(connection, "select 7", is: "7") }
      _ = try await connection.query("do $$begin execute 'deallocate all'; end$$")
      for _ in 0..<3 { try await expect(connection, "select 7", is: "7") }
      let status = await connection.transactionStatus
      #expect(status == .idle)
    }
  }

  @Test("within a transaction, which has failed with it, the error is thrown, and the next time it works")
  func inTransaction() async throws {
    try await withConnection { connection in
      for _ in 0..<2 { _ = try await connection.query("select 7") }
      _ = try await connection.query("do $$begin execute 'deallocate all'; end$$")
      _ = try await connection.query("begin")
      await expectFailure(connection, "select 7", "26000")
      let status = await connection.transactionStatus
      #expect(status == .inFailedTransaction)
      _ = try await connection.query("rollback")
      try await expect(connection, "select 7", is: "7")
    }
  }

  @Test("a name that is taken at the server is not insisted on: the statement is answered all the same")
  func nameTaken() async throws {
    for inTransaction in [false, true] {
      try await withConnection { connection in
        let names = await connection.nextNames
        let occupy = names.map { "execute 'prepare \($0) as select 8';" }.joined()
        _ = try await connection.query("do $$begin \(occupy) end$$")
        try await expect(connection, "select 7", is: "7")
        if inTransaction {
          _ = try await connection.query("begin")
          await expectFailure(connection, "select 7", "42P05")
          _ = try await connection.query("rollback")
        }
        for _ in 0..<6 { try await expect(connection, "select 7", is: "7") }
        let count = try await preparedCount(connection)
        #expect(count == names.count)
      }
    }
  }

  @Test("switched off, nothing is prepared, and all works as before")
  func off() async throws {
    try await withConnection(preparing: false) { connection in
      for _ in 0..<4 { try await expect(connection, "select 7", is: "7") }
      let count = try await preparedCount(connection)
      #expect(count == 0)
    }
  }

  @Test("a statement that fails while it runs is not asked again")
  func notTwice() async throws {
    try await withConnection { connection in
      _ = try await connection.query("create temp sequence s")
      let sql = "select 1 / (nextval('s') - currval('s'))"
      for _ in 0..<4 { await expectFailure(connection, sql, "22012") }
      try await expect(connection, "select last_value from s", is: "4")
    }
  }

  @Test("whoever discards everything after each use is not slowed by preparing")
  func discarded() async throws {
    try await withConnection { connection in
      for _ in 0..<5 {
        try await expect(connection, "select 7", is: "7")
        let count = try await preparedCount(connection)
        #expect(count == 0)
        _ = try await connection.query("DISCARD ALL")
      }
    }
  }

  @Test("a failed transaction is rolled back also when a statement would have to make room for ROLLBACK")
  func failedTransaction() async throws {
    try await withConnection { connection in
      _ = try await connection.query("rollback")
      for number in 0..<StatementCache.capacity {
        for _ in 0..<2 { try await expect(connection, "select \(number)", is: String(number)) }
      }
      _ = try await connection.query("begin")
      await expectFailure(connection, "select 1/0", "22012")
      _ = try await connection.query("rollback")
      let status = await connection.transactionStatus
      #expect(status == .idle)
    }
  }

  @Test("at the server there are never more than the cache holds")
  func bounded() async throws {
    try await withConnection { connection in
      for number in 0..<(StatementCache.capacity + 20) {
        for _ in 0..<2 { try await expect(connection, "select \(number)", is: String(number)) }
      }
      let count = try await preparedCount(connection)
      #expect(count == StatementCache.capacity)
    }
  }

  @Test("behind what forgets every statement at once, none is prepared any more")
  func givenUp() {
    var cache = StatementCache()
    func isUnnamed(_ plan: StatementCache.Plan) -> Bool { if case .unnamed = plan { true } else { false } }
    for _ in 0..<2 {
      #expect(isUnnamed(cache.plan(for: "a")))
      #expect(!isUnnamed(cache.plan(for: "a")))
      cache.prepared("a", as: "name")
      cache.lost()
    }
    for _ in 0..<3 { #expect(isUnnamed(cache.plan(for: "a"))) }
  }
}

extension Connection {
  /// The names that it would give to the statements that are asked next.
  var nextNames: [String] {
    (0..<2).flatMap { skipped in
      var copy = cache
      for number in 0..<skipped { _ = copy.plan(for: "skipped \(number)") }
      return (0..<20).compactMap { number in
        _ = copy.plan(for: "\(number)")
        if case .prepare(let name, _) = copy.plan(for: "\(number)") { return name } else { return nil }
      }
    }
  }
}
