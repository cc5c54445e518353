import Glibc
import Support
import Testing

@testable import Postgres

@Suite("results read while they arrive", .timeLimit(.minutes(5))) struct StreamTests {
  private func rows(
    of connection: Connection, _ sql: String, _ body: (QueryResult.Row) throws -> Void
  ) async throws {
    try await connection.beginStream(sql, [])
    while let rows = try await connection.nextRows() { for row in rows { try body(row) } }
  }

  @Test("every row comes, in order; then the connection takes the next statement")
  func all() async throws {
    for url in [{ $0.unixURL }, { $0.tcpURL() }] as [@Sendable (TestPostgres) -> String] {
      try await withConnection(url) { connection, _ in
        var next = 1
        try await rows(of: connection, "select g, repeat('x', 50) from generate_series(1, 100000) g") { row in
          let number = try row.decode(Int.self, at: 0)
          #expect(number == next)
          next += 1
        }
        #expect(next == 100_001)
        try await rows(of: connection, "select 1 where false") { _ in Issue.record("a row") }
        let after = try await connection.query("select 2")
        #expect(after[0, 0] == "2")
      }
    }
  }

  @Test("memory stays constant however large the result, and a slow reader makes the server wait")
  func constantMemory() async throws {
    try await withConnection { connection, server in
      // 400 MB in all.
      try await connection.beginStream("select repeat('x', 4000) from generate_series(1, 100000)", [])
      _ = try await connection.nextRows()
      let before = residentKiB()
      #expect(
        await eventually {
          try await server.sql(
            "select wait_event from pg_stat_activity where pid = \(connection.backendPID)") == "ClientWrite"
        })
      var count = 0
      while let rows = try await connection.nextRows() { count += rows.count }
      #expect(count > 99_000)
      // Other tests of the process may run beside.
      #expect(residentKiB() - before < 150_000)
    }
  }

  @Test("an error in the middle comes after the rows before it, and keeps the connection")
  func failing() async throws {
    try await withConnection { connection, _ in
      var last = 0
      do {
        try await rows(of: connection, "select 1000 / (1000 - g), g from generate_series(1, 2000) g") {
          last = try $0.decode(Int.self, at: 1)
        }
        Issue.record("went well")
      } catch let error as QueryError {
        #expect(error.fault.sqlState?.code == "22012" && error.connectionUsable)
      }
      #expect(last == 999)
      let after = try await connection.query("select 1")
      #expect(after[0, 0] == "1")
    }
  }

  @Test("a stream that is ended early is cancelled at the server, and the connection is good again")
  func endedEarly() async throws {
    try await withConnection { connection, _ in
      try await connection.beginStream("select generate_series(1, 100000000)", [])
      #expect(try await connection.nextRows()?.isEmpty == false)
      #expect(await failure(of: connection, "select 1")?.maybeExecuted == false)
      await connection.endStream()
      let after = try await connection.query("select pg_backend_pid()")
      #expect(after[0, 0] == "\(connection.backendPID)")
    }
  }

  @Test("cancelling the task ends the stream, also while it waits for a row")
  func cancelled() async throws {
    try await withConnection { connection, _ in
      let reading = Task {
        try await connection.beginStream("select pg_sleep(600)", [])
        return try await connection.nextRows()?.count
      }
      #expect(await eventually { await connection.transactionStatus == .active })
      reading.cancel()
      await #expect { _ = try await reading.value } throws: {
        ($0 as? QueryError)?.fault.message == "cancelled"
      }
      let after = try await connection.query("select 1")
      #expect(after[0, 0] == "1")
    }
  }

  @Test("a session that ends in the middle of a stream is an error, and its end is told")
  func ended() async throws {
    try await withConnection { connection, server in
      try await connection.beginStream("select pg_sleep(600)", [])
      let reading = Task { try await connection.nextRows()?.count }
      #expect(await eventually { await connection.transactionStatus == .active })
      _ = try await server.sql("select pg_terminate_backend(\(connection.backendPID))")
      await #expect { _ = try await reading.value } throws: {
        ($0 as? QueryError).map {
          !$0.connectionUsable && $0.maybeExecuted && $0.fault.sqlState == .adminShutdown
        }
          ?? false
      }
    }
  }

  private func residentKiB() -> Int {
    var usage = [CChar](repeating: 0, count: 256)
    guard let file = fopen("/proc/self/statm", "r") else { return 0 }
    defer { fclose(file) }
    fgets(&usage, 256, file)
    let fields = String(decoding: usage.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      .split(separator: " ")
    return (fields.dropFirst().first.flatMap { Int($0) } ?? 0) * 4
  }
}
