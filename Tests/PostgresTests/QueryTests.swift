import EventLoop
import PoolCore
import Support
import Testing

@testable import Postgres

@Suite("statements") struct QueryTests {
  @Test("rows, columns, nulls, and nothing where there is nothing")
  func result() async throws {
    try await withConnection { connection, _ in
      let result = try await connection.query(
        "select 1 as a, null::text as b, 'é' as c union all select 2, '', 'x'")
      #expect(result.columns == ["a", "b", "c"])
      #expect(result.rowCount == 2 && result.rows.count == 2)
      #expect(result.rows.map { $0["a"] } == ["1", "2"])
      #expect(result[0, 1] == nil && result[1, 1] == "")
      #expect(result[0, "c"] == "é" && result.rows[0][2] == "é")
      for (row, column) in [(-1, 0), (2, 0), (0, -1), (0, 3), (.max, .max), (.min, .min)] {
        #expect(result[row, column] == nil)
      }
      #expect(result[0, "nope"] == nil)
      #expect(result.affectedRows == 2)
    }
  }

  @Test("a result outlives its connection, and may be read on other threads")
  func resultLifetime() async throws {
    var kept: QueryResult?
    try await withConnection { connection, _ in
      kept = try await connection.query("select g, repeat('x', 100) from generate_series(1, 1000) g")
    }
    let result = try #require(kept)
    await withTaskGroup(of: Bool.self) { group in
      for _ in 0..<4 { group.addTask { result.rows.enumerated().allSatisfy { $1[0] == String($0 + 1) } } }
      for await right in group { #expect(right) }
    }
  }

  @Test("parameters keep their values, whatever they hold")
  func parameters() async throws {
    try await withConnection { connection, _ in
      let text = "it's \"quoted\" \\ ; drop table x; -- é 🐘 $1"
      let result = try await connection.query(
        "select $1::text, $2::int, $3::float8, $4::bool, $5::text, $6::text, $7::float8",
        [Parameter(text), 42, 2.5, true, nil, "", Parameter(-Double.infinity)])
      #expect((0..<7).map { result[0, $0] } == [text, "42", "2.5", "t", nil, "", "-Infinity"])
      let number = 7
      #expect(try await connection.query("select $1::int + 1", ["\(number)"])[0, 0] == "8")
      #expect(try await connection.query("select $1::int8", [Parameter(Int.min)])[0, 0] == String(Int.min))
      #expect(try await connection.query("select $1::float8 = 0.1", [0.1])[0, 0] == "t")
    }
  }

  @Test("changed rows are counted, and statements without rows have none")
  func affected() async throws {
    try await withConnection { connection, _ in
      #expect(try await connection.query("create temp table t (n int)").affectedRows == nil)
      let inserted = try await connection.query("insert into t select generate_series(1, 7)")
      #expect(inserted.affectedRows == 7 && inserted.command == "INSERT 0 7" && inserted.rows.isEmpty)
      #expect(try await connection.query("delete from t where n > 5").affectedRows == 2)
      let empty = try await connection.query("")
      #expect(empty.rowCount == 0 && empty.columns.isEmpty && empty.affectedRows == nil)
      try await connection.ping()
    }
  }

  @Test("an error of a statement has its SQLSTATE, and the connection goes on")
  func errors() async throws {
    try await withConnection { connection, _ in
      for (sql, code) in [("selec", "42601"), ("select 1/0", "22012"), ("select * from nope", "42P01")] {
        let error = try #require(await failure(of: connection, sql))
        #expect(error.fault.sqlState?.code == code && error.fault.step == .query)
        #expect(error.connectionUsable && error.maybeExecuted)
        #expect(try await connection.query("select 1")[0, 0] == "1")
      }
      let late = try #require(
        await failure(of: connection, "select 1 / (3 - g) from generate_series(1, 5) g"))
      #expect(late.fault.sqlState?.code == "22012")
      #expect(late.fault.message == "division by zero")
      _ = try await connection.query("set statement_timeout = '10ms'")
      let slow = try #require(await failure(of: connection, "select pg_sleep(600)"))
      #expect(slow.fault.sqlState == .queryCanceled && slow.connectionUsable)
    }
  }

  @Test("what cannot be sent is not sent, and says so")
  func notSent() async throws {
    try await withConnection { connection, _ in
      for (sql, parameters) in [("select 1\0", []), ("select $1", [Parameter("a\0b")])] {
        let error = try #require(await failure(of: connection, sql, parameters))
        #expect(error.connectionUsable && !error.maybeExecuted)
        #expect(error.fault.message.contains("zero byte"))
      }
      let many = try #require(
        await failure(of: connection, "select 1", Array(repeating: Parameter(1), count: 65_536)))
      #expect(many.connectionUsable && !many.maybeExecuted)
      #expect(many.fault.message == "65536 parameters, where a statement of PostgreSQL takes at most 65535")
      let most = (1...65_535).map { "$\($0)::int4" }.joined(separator: ",")
      let sum = try await connection.query(
        "select cardinality(array[\(most)])", Array(repeating: 1, count: 65_535))
      #expect(sum[0, 0] == "65535")
      #expect(try await connection.query("select 1")[0, 0] == "1")
    }
  }

  @Test("the status of a transaction is known without asking")
  func transactions() async throws {
    try await withConnection { connection, _ in
      #expect(await connection.transactionStatus == .idle)
      _ = try await connection.query("begin")
      #expect(await connection.transactionStatus == .inTransaction)
      _ = await failure(of: connection, "selec")
      #expect(await connection.transactionStatus == .inFailedTransaction)
      #expect(await failure(of: connection, "select 1")?.fault.sqlState?.code == "25P02")
      _ = try await connection.query("rollback")
      #expect(await connection.transactionStatus == .idle)
    }
  }

  @Test("a second statement at the same time is refused and leaves the first alone")
  func concurrentMisuse() async throws {
    try await withConnection { connection, server in
      let blocker = try await connector(server.unixURL, on: connection.loop).login()
      _ = try await blocker.query("select pg_advisory_lock(1)")
      async let first = connection.query("select pg_advisory_lock(1), 'first'")
      #expect(await eventually { await connection.transactionStatus == .active })
      let error = try #require(await failure(of: connection, "select 'second'"))
      #expect(error.connectionUsable && !error.maybeExecuted)
      #expect(error.fault.message.contains("one at a time"))
      _ = try await blocker.query("select pg_advisory_unlock(1)")
      #expect(try await first[0, 1] == "first")
      #expect(try await connection.query("select 'third'")[0, 0] == "third")
      await blocker.close()
    }
  }

  @Test("a task that is cancelled already sends nothing, and the connection stays good")
  func cancelledBefore() async throws {
    try await withConnection { connection, _ in
      let statement = Task {
        while !Task.isCancelled { await Task.yield() }
        return try await connection.query("select 1")
      }
      statement.cancel()
      await #expect { try await statement.value } throws: {
        ($0 as? QueryError).map { $0.connectionUsable && !$0.maybeExecuted } ?? false
      }
      try await connection.ping()
    }
  }

  @Test("statements and answers larger than any buffer")
  func large() async throws {
    for url in [{ $0.unixURL }, { $0.tcpURL() }] as [@Sendable (TestPostgres) -> String] {
      try await withConnection(url) { connection, _ in
        let megabytes = String(repeating: "0123456789abcdef", count: 1 << 19)
        let result = try await connection.query("select $1::text, length($1::text)", [Parameter(megabytes)])
        #expect(result[0, 0] == megabytes)
        #expect(result[0, 1] == String(1 << 23))
        let rows = try await connection.query("select g from generate_series(1, 200000) g")
        #expect(rows.rowCount == 200_000 && rows[199_999, 0] == "200000")
      }
    }
  }

  @Test("COPY is refused, not waited for")
  func copy() async throws {
    for sql in ["copy (select 1) to stdout", "copy t from stdin"] {
      try await withConnection { connection, _ in
        _ = try await connection.query("create temp table t (n int)")
        let error = try #require(await failure(of: connection, sql))
        #expect(!error.connectionUsable)
        #expect(error.fault.message.contains("COPY"))
      }
    }
  }

  @Test("a thousand statements, one after another, on several connections at a time")
  func thousands() async throws {
    try await withPostgres { server in
      try await withLoop { loop in
        let connector = try connector(server.unixURL, on: loop)
        await withTaskGroup(of: Int.self) { group in
          for _ in 0..<4 {
            group.addTask {
              guard let connection = try? await connector.login() else { return 0 }
              var right = 0
              for number in 0..<1_000 {
                let result = try? await connection.query("select $1::int", [Parameter(number)])
                if result?[0, 0] == String(number) { right += 1 }
              }
              await connection.close()
              return right
            }
          }
          for await right in group { #expect(right == 1_000) }
        }
      }
    }
  }
}
