import PoolCore
import Support
import Synchronization
import Testing
import WarmPool

@Suite("what is counted adds up") struct SumsTests {
  /// What callers met, counted by themselves.
  private final class Ledger: Sendable {
    struct Counts {
      var attempts = 0
      var granted = 0
      var refused: [String: Int] = [:]
      var isOver = false
    }
    private let counts = Mutex(Counts())

    var now: Counts { counts.withLock { $0 } }
    func note(_ change: (inout Counts) -> Void) { counts.withLock { change(&$0) } }

    /// Whatever has just happened, that many more callers were served after it.
    func served(_ more: Int) async {
      let before = now.granted
      #expect(await eventually { now.granted >= before + more })
    }
  }

  @Test("under load, while sessions are terminated and the server restarts, outcomes add up to attempts")
  func underLoad() async throws {
    let ledger = Ledger()
    try await withPostgres { server in
      let running = try RunningPool(server) { configuration in
        (configuration.minConnections, configuration.maxConnections) = (3, 6)
        configuration.pool.maxWaiting = 12
      }
      try await running.whileItRuns { pool in
        try await pool.warmed(within: .seconds(30))
        await withTaskGroup(of: Void.self) { group in
          for number in 0..<24 {
            group.addTask {
              while !ledger.now.isOver {
                await Self.use(pool, for: .milliseconds([0, 5, 400][number % 3]), ledger)
                await Task.yield()
              }
            }
          }
          group.addTask {
            for _ in 0..<10 {
              _ = try? await server.terminateBackends(applicationNameLike: "warmgate%", limit: 2)
              await ledger.served(100)
            }
            try? await server.restart()
            await ledger.served(100)
            ledger.note { $0.isOver = true }
          }
        }
        // The last leases may still be on their way back.
        #expect(await eventually { pool.snapshot.pool.leased == 0 && pool.snapshot.pool.connecting == 0 })
        try await pool.terminate(within: .seconds(10))
      }
      let snapshot = running.pool.snapshot
      let (counters, timings, counted) = (snapshot.counters, snapshot.timings, ledger.now)
      let refused = counters.acquireFailures.values.reduce(0, +)
      #expect(counted.granted > 1000)
      #expect(counted.refused["timed_out", default: 0] > 0 && counted.refused["queue_full", default: 0] > 0)
      #expect(counters.closes["ended", default: 0] > 0)
      #expect(
        Int(timings.acquires.count) + refused + counters.acquiresCancelled
          == counted.attempts + counters.exchanges)
      #expect(timings.acquires.count == timings.leases.count)
      #expect(Int(timings.logins.count) == counters.loginsSucceeded)
      #expect(Int(timings.probes.count) == counters.probesSucceeded)
      #expect(counters.closes.values.reduce(0, +) == counters.loginsSucceeded)
      #expect(counters.impossibleEvents == 0)
    }
  }

  private static func use(_ pool: WarmPool, for patience: Duration, _ ledger: Ledger) async {
    ledger.note { $0.attempts += 1 }
    do {
      try await pool.withConnection(timeout: patience) { db in
        ledger.note { $0.granted += 1 }
        _ = try await db.query("SELECT 1")
      }
    } catch let error as PoolError {
      if let refusal = error.refusal { ledger.note { $0.refused[refusal.name, default: 0] += 1 } }
    } catch { Issue.record(error) }
  }
}
