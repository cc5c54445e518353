import CLibpq
import Glibc
import PoolCore
import Support
import Synchronization
import Testing

@testable import Postgres

extension Connection {
  /// Asks `sql` as every statement is asked, but lets things happen between the look at the socket and the write, or
  /// right after the write, while the loop is held.
  func query(
    _ sql: String, isOneWrite: Bool = true, before: @Sendable (Int32) -> Void = { _ in },
    after: @Sendable (Int32) -> Void = { _ in }
  ) async throws(QueryError) -> QueryResult {
    try await run(nil, isOneWrite: isOneWrite) { session throws(QueryError) in
      before(session.descriptor)
      defer { after(session.descriptor) }
      return PQsendQueryParams(session.connection, sql, 0, nil, nil, nil, nil, 0) == 1
    }
  }
}

/// Holds its thread until the other side of the socket is gone.
private func waitUntilGone(_ descriptor: Int32, _ events: Int32 = POLLHUP) {
  let end = ContinuousClock.now + .seconds(20)
  while ContinuousClock.now < end {
    var look = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    _ = poll(&look, 1, 10)
    if Int32(look.revents) & events != 0 { return }
    usleep(200)
  }
  Issue.record("the socket is not gone")
}

/// The moment between the look at the socket and the write.
@Suite("statements that a dead socket refuses") struct RefusedTests {
  private func failure(
    _ connection: Connection, _ sql: String, isOneWrite: Bool = true,
    before: @Sendable (Int32) -> Void = { _ in }, after: @Sendable (Int32) -> Void = { _ in }
  ) async -> QueryError? {
    do throws(QueryError) {
      _ = try await connection.query(sql, isOneWrite: isOneWrite, before: before, after: after)
      return nil
    } catch { return error }
  }

  private func withProxy(
    _ tls: Bool = false,
    _ body: (TestPostgres, FaultProxy, () async throws -> Connection) async throws -> Void
  ) async throws {
    try await withPostgres { server in
      if tls { try await server.enableTLS() }
      try await server.sql("create table ledger (n int)")
      let proxy = try FaultProxy(to: server.port, seed: 1)
      defer { proxy.close() }
      let url =
        "postgresql://postgres:secret@127.0.0.1:\(proxy.port)/postgres?sslmode=\(tls ? "require" : "disable")"
      try await withLoop { loop in
        try await body(server, proxy) { try await connector(url, on: loop).login() }
      }
    }
  }

  @Test(
    "a socket that is reset before the write takes nothing, and that is known; with TLS too",
    arguments: [false, true])
  func resetBefore(tls: Bool) async throws {
    try await withProxy(tls) { server, proxy, login in
      for _ in 0..<3 {
        let connection = try await login()
        try await connection.ping()
        let error = await failure(
          connection, "insert into ledger values (1)",
          before: { socket in
            proxy.resetAll()
            waitUntilGone(socket)
          })
        #expect(error?.maybeExecuted == false && error?.connectionUsable == false)
        await connection.close()
      }
      #expect(await eventually { try await server.sessions(like: "warmgate/test") == 0 })
      #expect(try await server.sql("select count(*) from ledger") == "0")
    }
  }

  @Test("a socket that is reset after the write may have delivered it, and so may one that takes it in parts")
  func resetAfter() async throws {
    try await withProxy { _, proxy, login in
      let connection = try await login()
      let error = await failure(
        connection, "insert into ledger select 1 from pg_sleep(600)",
        after: { socket in
          proxy.resetAll()
          waitUntilGone(socket)
        })
      #expect(error?.maybeExecuted == true && error?.connectionUsable == false)
      let second = try await login()
      let long = "insert into ledger values (1) -- \(String(repeating: "x", count: 3_000_000))"
      #expect(!Connection.isOneWrite(long, []) && Connection.isOneWrite("", [Parameter([1, 2, 3])]))
      #expect(!Connection.isOneWrite("", Array(repeating: 1, count: 5000)))
      let inParts = await failure(
        second, long, isOneWrite: false,
        before: { socket in
          proxy.resetAll()
          waitUntilGone(socket)
        })
      #expect(inParts?.maybeExecuted == true && inParts?.connectionUsable == false)
    }
  }

  @Test(
    "a server killed before the write: its end is orderly, the kernel still takes the write, nobody knows")
  func killed() async throws {
    for url in [{ $0.unixURL }, { $0.tcpURL() }] as [@Sendable (TestPostgres) -> String] {
      try await withPostgres { server in
        try await server.sql("create table ledger (n int)")
        try await withLoop { loop in
          let connection = try await connector(url(server), on: loop).login()
          let pid = connection.backendPID
          let error = await failure(
            connection, "insert into ledger values (1)",
            before: { socket in
              kill(pid, SIGKILL)
              waitUntilGone(socket, POLLIN)
            })
          #expect(error?.maybeExecuted == true && error?.connectionUsable == false)
          await connection.close()
          #expect(await eventually { try await server.sql("select count(*) from ledger") == "0" })
        }
      }
    }
  }

  @Test("whenever the reset comes, what is called unsent was not executed, and nothing was executed twice")
  func ledger() async throws {
    try await withProxy { server, proxy, login in
      var unsent: Set<String> = []
      var done: Set<String> = []
      let rounds = 80
      for round in 0..<rounds {
        let connection = try await login()
        try await connection.ping()
        let error = await failure(
          connection, "insert into ledger values (\(round))",
          before: { socket in
            guard round > 0 else { return }
            proxy.resetAll()
            // From well before to well after: the proxy takes some tens of microseconds.
            if round == rounds - 1 { waitUntilGone(socket) } else { usleep(UInt32(round * 5)) }
          },
          after: { _ in if round == 0 { proxy.resetAll() } })
        if let error {
          if !error.maybeExecuted { unsent.insert("\(round)") }
        } else {
          done.insert("\(round)")
        }
        await connection.close()
      }
      #expect(await eventually { try await server.sessions(like: "warmgate/test") == 0 })
      let rows = try await server.sql("select n from ledger").split(separator: "\n").map(String.init)
      #expect(Set(rows).count == rows.count)
      #expect(unsent.isDisjoint(with: rows), "\(unsent.intersection(rows))")
      #expect(done.isSubset(of: rows))
      // Some of each, or this shows nothing.
      #expect(!unsent.isEmpty && unsent.count < rounds)
    }
  }
}
