import Glibc
import PoolCore
import Support
import Testing
import WarmPool

/// Connections are looked at before they are lent, and asked when they have been idle.
@Suite(.timeLimit(.minutes(10))) struct CheckTests {
  @Test(
    "an idle connection whose server process is stopped is replaced within the caller's time")
  func silent() async throws {
    try await withPool({
      $0.maxConnections = 3
      $0.pool.acquireTimeout = .seconds(20)
    }) { running, postgres in
      try await running.pool.warmed(within: .seconds(20))
      let stopped = try #require(try await ask(running.pool, "SELECT pg_backend_pid()").flatMap(Int32.init))
      let since = WarmPool.now()
      // Idle for more than a second.
      #expect(await eventually { WarmPool.now() - since > .milliseconds(1200) })
      kill(stopped, SIGSTOP)
      defer { kill(stopped, SIGCONT) }
      let other = try await ask(running.pool, "SELECT pg_backend_pid()").flatMap(Int32.init)
      #expect(other != stopped)
      #expect(running.pool.snapshot.counters.closes["silent"] == 1)
      #expect(running.pool.snapshot.counters.impossibleEvents == 0)
      #expect(!running.phases.contains(.unready))
    }
  }

  @Test("a connection that the server has ended is not lent again")
  func noticed() async throws {
    try await withPool({
      $0.maxConnections = 3
      $0.pool.acquireTimeout = .seconds(20)
    }) { running, postgres in
      try await running.pool.warmed(within: .seconds(20))
      for _ in 0..<3 {
        let ended = try #require(try await ask(running.pool, "SELECT pg_backend_pid()").flatMap(Int32.init))
        _ = try await postgres.sql("SELECT pg_terminate_backend(\(ended), 10000)")
        let next = try await running.pool.withConnection { db in db.backendPID }
        #expect(next != ended)
        #expect(await eventually { running.pool.snapshot.pool.leased == 0 })
        // Two of them within a second are a shutdown.
        let since = WarmPool.now()
        #expect(await eventually { WarmPool.now() - since > .milliseconds(1100) })
      }
      #expect(running.pool.snapshot.counters.impossibleEvents == 0)
    }
  }
}
