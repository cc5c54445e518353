import Glibc
import PoolCore
import Support
import Testing
import WarmPool

/// What a lease leaves behind in its session.
@Suite(.timeLimit(.minutes(10))) struct SessionTests {
  @Test("a tag is the session's application_name for the time of the lease, whatever happens in it")
  func tag() async throws {
    try await withPool({ $0.maxConnections = 2 }) { running, _ in
      try await running.pool.warmed(within: .seconds(20))
      let show = "SHOW application_name"
      for _ in 0..<2 {
        let tagged = try await running.pool.withConnection(tag: "request 'o''7'; x") { db in
          try await db.query(show)[0, 0]
        }
        #expect(tagged == "request 'o''7'; x")
        #expect(
          try await running.pool.withConnection { db in try await db.query(show)[0, 0] } == "warmgate/test")
      }
      _ = try? await running.pool.withTransaction(tag: "fails") { db in _ = try await db.query("SELECT 1/0") }
      #expect(
        try await running.pool.withConnection { db in try await db.query(show)[0, 0] } == "warmgate/test")
      #expect(running.pool.snapshot.counters.closes.isEmpty)
    }
  }

  @Test("session state stays for later leases, unless it is asked to be discarded")
  func discarding() async throws {
    try await withPool({ $0.maxConnections = 2 }) { running, _ in
      try await running.pool.warmed(within: .seconds(20))
      let show = "SHOW work_mem"
      let initial = try await running.pool.withConnection { db in try await db.query(show)[0, 0] }
      try await running.pool.withConnection { db in _ = try await db.query("SET work_mem = '7MB'") }
      #expect(try await ask(running.pool, show) == "7MB")
      try await running.pool.withConnection(resetting: .discardAll) { db in
        _ = try await db.query("BEGIN")
        _ = try await db.query("SET work_mem = '8MB'")
      }
      #expect(try await ask(running.pool, show) == initial)
      #expect(running.pool.snapshot.counters.closes.isEmpty)
    }
  }

  @Test("a connection that cannot be reset in time is closed, and its place is free again")
  func hung() async throws {
    try await withPool({ $0.maxConnections = 2 }) { running, _ in
      try await running.pool.warmed(within: .seconds(20))
      let victim = try await running.pool.withConnection { db in
        _ = try await db.query("BEGIN")
        kill(db.backendPID, SIGSTOP)
        return db.backendPID
      }
      let next = try await running.pool.withConnection(timeout: .seconds(30)) { db in
        try await db.query("SELECT pg_backend_pid()")[0, 0]
      }
      #expect(next != "\(victim)")
      #expect(running.pool.snapshot.counters.closes == ["broken": 1])
      kill(victim, SIGCONT)
    }
  }
}
