import Support
import Testing

@testable import Postgres

@Suite("batches", .timeLimit(.minutes(5))) struct PipelineTests {
  @Test("results come in the order of the statements, in one round trip")
  func results() async throws {
    try await withConnection { connection, _ in
      let results = try await connection.pipeline([
        Statement("select $1::int", [1]), Statement("create temporary table t (x int)"),
        Statement("insert into t select generate_series(1, 3)"), Statement("select count(*) from t"),
        Statement(""),
      ])
      #expect(
        results.map { $0.rowCount > 0 ? $0[0, 0] : $0.command } == [
          "1", "CREATE TABLE", "INSERT 0 3", "3", "",
        ])
      #expect(try await connection.pipeline([]).isEmpty)
      let after = try await connection.query("select 2")
      #expect(after[0, 0] == "2")
    }
  }

  @Test("a statement that fails undoes those before it, keeps those after it from running, and is named")
  func failing() async throws {
    try await withConnection { connection, server in
      _ = try await server.sql("create table entry (x int)")
      do throws(QueryError) {
        _ = try await connection.pipeline([
          Statement("insert into entry values (1)"), Statement("select 1/0"),
          Statement("insert into entry values (2)"),
        ])
        Issue.record("went well")
      } catch {
        #expect(error.connectionUsable)
        #expect(error.fault.sqlState?.code == "22012")
        #expect(error.fault.message == "statement 2 of 3: division by zero")
      }
      let left = try await server.sql("select count(*) from entry")
      #expect(left == "0")
      #expect(await connection.transactionStatus == .idle)
      let after = try await connection.pipeline([Statement("select 1"), Statement("select 2")])
      #expect(after.count == 2)
    }
  }

  @Test("a batch far larger than any buffer, both ways, does not lock up")
  func large() async throws {
    try await withConnection({ $0.tcpURL() }) { connection, _ in
      let text = String(repeating: "x", count: 20_000)
      let results = try await connection.pipeline(
        Array(repeating: Statement("select $1::text", [Parameter(text)]), count: 500), timeout: .seconds(120))
      #expect(results.count == 500 && results.allSatisfy { $0[0, 0]?.utf8.count == 20_000 })
    }
  }

  @Test("within a transaction a batch is part of it; a batch that takes too long is cancelled")
  func transaction() async throws {
    try await withConnection { connection, server in
      _ = try await server.sql("create table entry (x int)")
      _ = try await connection.query("begin")
      _ = try await connection.pipeline([Statement("insert into entry values (1)")])
      _ = try await connection.query("rollback")
      let left = try await server.sql("select count(*) from entry")
      #expect(left == "0")
      do throws(QueryError) {
        _ = try await connection.pipeline(
          [Statement("select 1"), Statement("select pg_sleep(600)"), Statement("select 2")],
          timeout: .milliseconds(100))
        Issue.record("went well")
      } catch {
        #expect(error.fault.sqlState == .queryCanceled && error.connectionUsable)
      }
      try await connection.ping()
    }
  }

  @Test("a batch after a result that was read row by row has whole results")
  func afterStream() async throws {
    try await withConnection { connection, _ in
      try await connection.beginStream("select generate_series(1, 3)", [])
      while try await connection.nextRows() != nil {}
      let sql = "select generate_series(1, 3)"
      for _ in 0..<2 {
        let results = try await connection.pipeline([Statement(sql), Statement(sql)])
        #expect(results.map(\.rowCount) == [3, 3])
      }
    }
  }

  @Test("a zero byte and COPY are refused, and so is a batch on a connection that was ended")
  func refused() async throws {
    try await withConnection { connection, server in
      do throws(QueryError) {
        _ = try await connection.pipeline([Statement("select 1"), Statement("select $1", ["\0"])])
        Issue.record("went well")
      } catch { #expect(error.connectionUsable && !error.maybeExecuted) }
      let after = try await connection.query("select 1")
      #expect(after[0, 0] == "1")
      _ = try await server.sql("select pg_terminate_backend(\(connection.backendPID))")
      #expect(await eventually { await connection.transactionStatus == .unknown })
      do throws(QueryError) {
        _ = try await connection.pipeline([Statement("select 1")])
        Issue.record("went well")
      } catch { #expect(!error.connectionUsable && !error.maybeExecuted) }
    }
  }
}
