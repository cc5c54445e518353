import EventLoop
import Foundation
import Glibc
import PoolCore
import Support
import Testing

@testable import Postgres

@Suite("statements that are stopped") struct StoppingTests {
  private func isAsleep(_ connection: Connection, at server: TestPostgres) async throws -> Bool {
    try await server.sql(
      """
      select count(*) from pg_stat_activity
      where pid = \(connection.backendPID) and state = 'active' and wait_event = 'PgSleep'
      """) == "1"
  }

  /// Runs `sql` in a task that is cancelled once the server is at it.
  private func cancelled(
    _ connection: Connection, _ sql: String, at server: TestPostgres
  ) async throws -> QueryError? {
    let statement = Task { await failure(of: connection, sql) }
    #expect(await eventually { try await isAsleep(connection, at: server) })
    statement.cancel()
    return await statement.value
  }

  @Test("closing a connection stops its statement at the server")
  func closed() async throws {
    try await withConnection { connection, server in
      let statement = Task { await failure(of: connection, "select pg_sleep(600)") }
      #expect(await eventually { try await isAsleep(connection, at: server) })
      await connection.close()
      #expect(await statement.value?.maybeExecuted == true)
      #expect(await eventually { try await !isAsleep(connection, at: server) })
    }
  }

  @Test("a cancelled statement stops at the server, and its connection goes on")
  func cancellation() async throws {
    for url in [{ $0.unixURL }, { $0.tcpURL() }] as [@Sendable (TestPostgres) -> String] {
      try await withConnection(url) { connection, server in
        for _ in 0..<3 {
          let error = try #require(try await cancelled(connection, "select pg_sleep(600)", at: server))
          #expect(error.fault.sqlState == .queryCanceled && error.fault.message == "cancelled")
          #expect(error.connectionUsable && error.maybeExecuted)
          let answer = try await connection.query("select pg_backend_pid()")
          #expect(answer[0, 0] == String(connection.backendPID))
        }
      }
    }
  }

  @Test("a statement that takes too long is stopped, and its connection goes on")
  func timeout() async throws {
    try await withConnection { connection, _ in
      for _ in 0..<3 {
        let error = try #require(
          await failure(of: connection, "select pg_sleep(600)", timeout: .milliseconds(50)))
        #expect(error.fault.sqlState == .queryCanceled && error.connectionUsable)
        #expect(error.fault.message.hasPrefix("no answer within"))
        let answer = try await connection.query("select 1", timeout: .seconds(60))
        #expect(answer[0, 0] == "1")
      }
    }
  }

  @Test("no time at all is not enough to send anything")
  func noTime() async throws {
    try await withConnection { connection, _ in
      for timeout in [Duration.zero, .seconds(-1)] {
        let error = try #require(await failure(of: connection, "select 1", timeout: timeout))
        #expect(error.connectionUsable && !error.maybeExecuted)
      }
      try await connection.ping()
    }
  }

  @Test("in a transaction, a stopped statement leaves the transaction failed, to be rolled back")
  func inTransaction() async throws {
    try await withConnection { connection, server in
      _ = try await connection.query("create temp table t as select 1 as n")
      _ = try await connection.query("begin")
      _ = try await connection.query("update t set n = 2")
      let error = try #require(try await cancelled(connection, "select pg_sleep(600)", at: server))
      #expect(error.connectionUsable)
      let status = await connection.transactionStatus
      #expect(status == .inFailedTransaction)
      _ = try await connection.query("rollback")
      let answer = try await connection.query("select n from t")
      #expect(answer[0, 0] == "1")
    }
  }

  @Test("what was finished when it was to be stopped is returned, and no later statement is hit")
  func race() async throws {
    try await withConnection { connection, _ in
      _ = try await connection.query("create temp table t (n int)")
      var done = 0
      for number in 0..<300 {
        let insert = Task {
          await failure(of: connection, "insert into t values (\(number))")
        }
        for _ in 0..<(number % 7) { await Task.yield() }
        insert.cancel()
        let error = await insert.value
        if error == nil { done += 1 }
        #expect(error?.connectionUsable != false)
        // Were the request still on its way, this would be stopped by it.
        let answer = try await connection.query("select count(*), pg_sleep(0.0005) from t")
        #expect(answer[0, 0] == String(done))
      }
    }
  }

  @Test("asked from outside, a statement stops and its connection goes on")
  func requested() async throws {
    try await withConnection { connection, _ in
      let statement = Task { await failure(of: connection, "select pg_sleep(600)") }
      #expect(await eventually { await connection.transactionStatus == .active })
      await connection.requestCancel()
      let error = try #require(await statement.value)
      #expect(error.fault.sqlState == .queryCanceled && error.connectionUsable)
      try await connection.ping()
    }
  }

  @Test("a request that the server gets before the statement is repeated")
  func tooEarly() async throws {
    try await withConnection { connection, _ in
      let backend = connection.backendPID
      #expect(kill(backend, SIGSTOP) == 0)
      defer { kill(backend, SIGCONT) }
      let statement = Task { await failure(of: connection, "select pg_sleep(600)") }
      #expect(await eventually { await connection.transactionStatus == .active })
      await connection.requestCancel()
      // The signal waits for the session, which will see it before it reads the statement, and disregard it.
      #expect(await eventually { hasPendingInterrupt(backend) })
      kill(backend, SIGCONT)
      let error = try #require(await statement.value)
      #expect(error.fault.sqlState == .queryCanceled && error.connectionUsable)
      try await connection.ping()
    }
  }

  @Test(
    "a stream that is ended before the server has its statement is stopped as well"
  )
  func streamTooEarly() async throws {
    try await withConnection { connection, _ in
      let backend = connection.backendPID
      #expect(kill(backend, SIGSTOP) == 0)
      defer { kill(backend, SIGCONT) }
      try await connection.beginStream("select pg_sleep(600)", [])
      await connection.requestCancel()
      #expect(await eventually { hasPendingInterrupt(backend) })
      kill(backend, SIGCONT)
      await connection.endStream()
      let answer = try await connection.query("select pg_backend_pid()")
      #expect(answer[0, 0] == String(backend))
    }
  }

  @Test("asked from outside, a stream stops with 57014 and its connection goes on")
  func streamRequested() async throws {
    try await withConnection { connection, server in
      let reading = Task {
        try await connection.beginStream("select pg_sleep(600)", [])
        return try await connection.nextRows()?.count
      }
      #expect(await eventually { try await isAsleep(connection, at: server) })
      await connection.requestCancel()
      await #expect { _ = try await reading.value } throws: {
        ($0 as? QueryError).map { $0.fault.sqlState == .queryCanceled && $0.connectionUsable } ?? false
      }
      try await connection.ping()
    }
  }

  @Test("wherever a stream is ended, its connection goes on and no later statement is hit")
  func streamRace() async throws {
    try await withConnection { connection, _ in
      for number in 0..<150 {
        try await connection.beginStream("select generate_series(1, $1::int)", [Parameter(number * 20)])
        for _ in 0..<(number % 5) { _ = try await connection.nextRows() }
        await connection.endStream()
        // Were a request still on its way, this would be stopped by it.
        let answer = try await connection.query("select pg_backend_pid(), pg_sleep(0.0005)")
        #expect(answer[0, 0] == String(connection.backendPID))
      }
    }
  }

  @Test("a server that does not confirm the end of a stream costs the connection, not the caller's patience")
  func streamSilent() async throws {
    try await withConnection { connection, _ in
      let backend = connection.backendPID
      try await connection.beginStream("select generate_series(1, 100000000)", [])
      _ = try await connection.nextRows()
      #expect(kill(backend, SIGSTOP) == 0)
      defer { kill(backend, SIGCONT) }
      await connection.endStream()
      let next = try #require(await failure(of: connection, "select 1"))
      #expect(!next.connectionUsable && !next.maybeExecuted)
    }
  }

  private func hasPendingInterrupt(_ process: Int32) -> Bool {
    let status = (try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)) ?? ""
    let mask = status.split(separator: "\n").first { $0.hasPrefix("ShdPnd:") }
      .flatMap { $0.split(whereSeparator: \.isWhitespace).last }
    return (mask.flatMap { UInt64($0, radix: 16) } ?? 0) & (1 << (UInt64(SIGINT) - 1)) != 0
  }

  @Test("a server that does not answer costs the connection, not the caller's patience")
  func silent() async throws {
    for cancels in [false, true] {
      try await withConnection { connection, server in
        let backend = connection.backendPID
        let statement = Task {
          await failure(of: connection, "select pg_sleep(600)", timeout: cancels ? nil : .milliseconds(50))
        }
        #expect(await eventually { await connection.transactionStatus == .active })
        #expect(kill(backend, SIGSTOP) == 0)
        defer { kill(backend, SIGCONT) }
        if cancels { statement.cancel() }
        let error = try #require(await statement.value)
        #expect(!error.connectionUsable && error.maybeExecuted)
        #expect(error.fault.kind == (cancels ? .other : .timedOut))
        let next = try #require(await failure(of: connection, "select 1"))
        #expect(!next.connectionUsable && !next.maybeExecuted)
      }
    }
  }
}
