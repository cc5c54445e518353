import Support
import Synchronization
import Testing
import WarmPool

@Suite(.timeLimit(.minutes(5))) struct WatchingExample {
  private func made(
    _ configuration: WarmPool.Configuration, log: @escaping @Sendable (String) -> Void
  ) throws -> WarmPool {
    // ----
    let pool = try WarmPool(configuration) { event in
      switch event {
      case .transition(let change):
        log("\(change.from) -> \(change.to) \(change.reasons.map(\.detail))")
      case .fault(let fault, _): log("database: \(fault.detail)")
      case .breaker(let report, _): log("circuit breaker: \(report.state)")
      case .leaked(_, _, let held, let site?): log("held for \(held.inTenths), acquired at \(site)")
      case .sessionLeaked(let leak): log("idle in a transaction at the server: process \(leak.pid)")
      default: break
      }
    }
    // ----
    return pool
  }

  private func numbers(_ pool: WarmPool) -> (free: Int, failures: Int) {
    // ----
    let now = pool.snapshot
    let free = now.pool.idle
    let failures = now.counters.acquireFailures.values.reduce(0, +)
    // ----
    return (free, failures)
  }

  @Test("what goes on is heard, a leak with the line that acquired it")
  func heard() async throws {
    try await withPostgres { server in
      var configuration = WarmPool.Configuration(databaseURL: server.unixURL)
      configuration.pool.leakAfter = .milliseconds(100)
      configuration.pool.drainDelay = .zero
      let logged = Mutex<[String]>([])
      let pool = try made(configuration) { line in logged.withLock { $0.append(line) } }
      async let running: Void = pool.run()
      try await pool.warmed(within: .seconds(30))
      try await pool.withConnection { _ in
        #expect(
          await eventually { logged.withLock { $0 }.contains { $0.contains("WatchingExample.swift:") } })
      }
      #expect(numbers(pool).failures == 0)
      #expect(await eventually { numbers(pool).free == 2 })
      try await pool.terminate(within: .seconds(5))
      await running
      #expect(logged.withLock { $0 }.first == "starting -> warming [\"warming 0/2\"]")
      #expect(logged.withLock { $0 }.contains("warming -> ready []"))
    }
  }
}
