import EventLoop
import Foundation
import PoolCore
import Support
import Testing

@testable import Postgres

/// What works, and what does not, when each transaction is another session's.
@Suite("behind PgBouncer, a session for each transaction", .timeLimit(.minutes(5))) struct PoolerTests {
  private func withPooler(
    preparing: Bool = true, sessions: Int = 3,
    _ body: (Connection, PgBouncer, TestPostgres) async throws -> Void
  ) async throws {
    try await withPostgres { server in
      let pooler = try await PgBouncer.started(before: server, sessions: sessions)
      defer { pooler.stop() }
      try await withLoop { loop in
        let connection = try await connector(pooler.url, on: loop, preparing: preparing).login()
        try await warm(connection, sessions)
        try await body(connection, pooler, server)
        await connection.close()
      }
    }
  }

  /// Until transactions go round all sessions.
  private func warm(_ connection: Connection, _ sessions: Int) async throws {
    var seen: Set<String> = []
    #expect(
      await eventually {
        if let pid = try await connection.query("select pg_backend_pid()")[0, 0] { seen.insert(pid) }
        return seen.count == sessions
      })
  }

  @Test(
    "what was prepared in one session and is missing in the next is asked anew, and soon none is prepared")
  func healed() async throws {
    try await withPooler { connection, _, _ in
      for round in 0..<12 {
        let answer = try await connection.query("select $1::int + 1", [Parameter(round)])
        #expect(answer[0, 0] == "\(round + 1)")
        let other = try await connection.query("select 'other', $1::int", [Parameter(round)])
        #expect(other[0, 1] == "\(round)")
      }
      _ = try await connection.query("begin")
      for _ in 0..<3 { _ = try await connection.query("select $1::int + 1", [1]) }
      _ = try await connection.query("commit")
    }
  }

  @Test("a name that another session has is not insisted on")
  func nameTaken() async throws {
    try await withPooler(sessions: 1) { connection, _, server in
      _ = try await connection.query("select 7")
      let occupy = await connection.nextNames.map { "execute 'prepare \($0) as select 8';" }.joined()
      _ = try await connection.query("do $$begin \(occupy) end$$")
      for _ in 0..<6 { #expect(try await connection.query("select 7")[0, 0] == "7") }
    }
  }

  @Test("with preparing switched off, no session is asked to, and transactions work from the first")
  func off() async throws {
    try await withPooler(preparing: false) { connection, _, server in
      for _ in 0..<4 {
        _ = try await connection.query("begin")
        for number in 0..<4 {
          #expect(try await connection.query("select $1::int", [Parameter(number)])[0, 0] == "\(number)")
        }
        _ = try await connection.query("commit")
      }
      for _ in 0..<6 {
        #expect(try await connection.query("select count(*) from pg_prepared_statements")[0, 0] == "0")
      }
    }
  }

  @Test("streams, batches and transactions work")
  func statements() async throws {
    try await withPooler(preparing: false) { connection, _, _ in
      var count = 0
      try await connection.beginStream("select generate_series(1, 10000)", [])
      while let rows = try await connection.nextRows() { count += rows.count }
      #expect(count == 10_000)
      let batch = try await connection.pipeline([Statement("select 1"), Statement("select $1::text", ["a"])])
      #expect(batch.map { $0[0, 0] } == ["1", "a"])
      _ = try await connection.query("begin")
      _ = try await connection.query("create temp table t (n int) on commit drop")
      _ = try await connection.query("insert into t values (1)")
      #expect(try await connection.query("select count(*) from t")[0, 0] == "1")
      _ = try await connection.query("rollback")
    }
  }

  @Test("a statement is stopped at the server, also by cancelling a stream; no later one is hit")
  func cancelled() async throws {
    try await withPooler(preparing: false) { connection, _, server in
      for round in 0..<20 {
        let error = try #require(
          await failure(of: connection, "select pg_sleep(600)", timeout: .milliseconds(round)))
        #expect(error.connectionUsable)
        #expect(try await connection.query("select 1, pg_sleep(0.001)")[0, 0] == "1")
      }
      for _ in 0..<10 {
        try await connection.beginStream("select generate_series(1, 100000000)", [])
        _ = try await connection.nextRows()
        await connection.endStream()
        #expect(try await connection.query("select 1, pg_sleep(0.001)")[0, 0] == "1")
      }
      #expect(
        try await server.sql(
          "select count(*) from pg_stat_activity where query like '%600%' and state = 'active' and pid <> pg_backend_pid()"
        ) == "0")
    }
  }

  @Test("what is set for a session is another client's too; the name of the application is kept apart")
  func sessionState() async throws {
    try await withPooler(preparing: false, sessions: 1) { connection, pooler, _ in
      try await withLoop { loop in
        let other = try await connector(pooler.url, on: loop, preparing: false).login()
        _ = try await connection.query("set work_mem = '77MB'")
        #expect(try await other.query("show work_mem")[0, 0] == "77MB")
        _ = try await connection.query("select set_config('application_name', 'tagged', false)")
        #expect(try await other.query("show application_name")[0, 0] == "warmgate/test")
        #expect(try await connection.query("show application_name")[0, 0] == "tagged")
        // To what PgBouncer logged in with, not to what the URL of this client says.
        _ = try await connection.query("reset application_name")
        #expect(try await connection.query("show application_name")[0, 0] == "")
        // Made up by PgBouncer, as the number that cancels a statement is.
        let pid = try await connection.query("select pg_backend_pid()")[0, 0]
        #expect(pid != "\(connection.backendPID)")
        await other.close()
      }
    }
  }

  @Test("options in the URL are refused at the login, the role is the one of the server behind")
  func startup() async throws {
    try await withPooler { _, pooler, _ in
      try await withLoop { loop in
        let fault = try #require(
          try await loginFault(pooler.url + "?options=-c%20statement_timeout%3D5s", on: loop))
        #expect(fault.kind == .server(.protocolViolation))
        #expect(fault.message == "unsupported startup parameter: options")
        #expect(try await loginFault(pooler.url, on: loop, role: .primary) == nil)
        #expect(try await loginFault(pooler.url, on: loop, role: .standby)?.kind == .wrongRole)
      }
    }
  }
}
