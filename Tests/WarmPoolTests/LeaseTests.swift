import PoolCore
import Support
import Synchronization
import Testing
import WarmPool

@Suite(.timeLimit(.minutes(10))) struct LeaseTests {
  @Test("a lease runs statements with parameters, and its error keeps the connection")
  func statements() async throws {
    try await withPool { running, _ in
      try await running.pool.warmed(within: .seconds(20))
      let sum = try await running.pool.withConnection { db in
        try await db.query("SELECT $1::int + $2::int", [40, 2])[0, 0]
      }
      #expect(sum == "42")
      let error = await #expect(throws: PoolError.self) {
        try await running.pool.withConnection { db in _ = try await db.query("SELECT 1/0") }
      }
      #expect(error?.fault?.sqlState?.code == "22012")
      #expect(await eventually { running.pool.snapshot.pool.leased == 0 })
      #expect(running.pool.snapshot.counters.closes.isEmpty)
    }
  }

  @Test("the pool grows to its ceiling under load, serves everybody, and never lends one connection twice")
  func load() async throws {
    try await withPool({
      $0.maxConnections = 5
      $0.pool.maxWaiting = 1000
    }) { running, postgres in
      try await running.pool.warmed(within: .seconds(20))
      let ledger = Ledger()
      try await withThrowingTaskGroup { group in
        for _ in 0..<32 {
          group.addTask {
            for _ in 0..<20 {
              try await running.pool.withConnection(timeout: .seconds(30)) { db in
                let pid = db.backendPID
                #expect(ledger.take(pid))
                let answer = try await db.query("SELECT pg_backend_pid()")[0, 0]
                #expect(answer == "\(pid)")
                ledger.giveBack(pid)
              }
            }
          }
        }
        try await group.waitForAll()
      }
      #expect(ledger.served == 640)
      #expect(try await postgres.sessions(like: "warmgate/test") <= 5)
      #expect(running.pool.snapshot.counters.impossibleEvents == 0)
    }
  }

  @Test("beyond the bound a caller is refused at once; within it, at its deadline; with the pool's counts")
  func refusals() async throws {
    try await withPool({
      $0.maxConnections = 2
      $0.pool.maxWaiting = 1
    }) { running, _ in
      try await running.pool.warmed(within: .seconds(20))
      try await running.pool.withConnection { _ in
        async let late: Void = running.pool.withConnection(timeout: .milliseconds(300)) { _ in }
        #expect(await eventually { running.pool.snapshot.pool.waiting == 1 })
        let full = await #expect(throws: PoolError.self) { try await running.pool.withConnection { _ in } }
        #expect(full?.kind == .acquire(.queueFull(limit: 1)))
        #expect(full?.pool.leased == 1)
        do {
          try await late
          Issue.record("got a connection that was not there")
        } catch let error as PoolError {
          guard case .acquire(.timedOut) = error.kind else { throw error }
        }
      }
      try await running.pool.withConnection { _ in }
    }
  }

  @Test("a caller that is cancelled while waiting leaves the queue and takes nothing")
  func cancelled() async throws {
    try await withPool({ $0.maxConnections = 2 }) { running, _ in
      try await running.pool.warmed(within: .seconds(20))
      try await running.pool.withConnection { _ in
        let waiting = Task { try await running.pool.withConnection(timeout: .seconds(60)) { _ in } }
        #expect(await eventually { running.pool.snapshot.pool.waiting == 1 })
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        #expect(await eventually { running.pool.snapshot.pool.waiting == 0 })
      }
      #expect(await eventually { running.pool.snapshot.pool.leased == 0 })
      try await running.pool.withConnection { _ in }
    }
  }

  @Test("a transaction left open is rolled back before the next lease sees the connection")
  func openTransaction() async throws {
    try await withPool({ $0.maxConnections = 2 }) { running, _ in
      try await running.pool.warmed(within: .seconds(20))
      let first = try await running.pool.withConnection { db in
        _ = try await db.query("BEGIN")
        _ = try await db.query("CREATE TABLE half_done ()")
        return db.backendPID
      }
      let (second, left) = try await running.pool.withConnection { db in
        (db.backendPID, try await db.query("SELECT to_regclass('half_done')")[0, 0])
      }
      #expect(first == second)
      #expect(left == nil)
    }
  }

  @Test("a lease whose session was ended by the server fails, and the next one works")
  func lostInUse() async throws {
    try await withPool({ $0.maxConnections = 2 }) { running, postgres in
      try await running.pool.warmed(within: .seconds(20))
      let error = await #expect(throws: PoolError.self) {
        try await running.pool.withConnection { db in
          _ = try await db.query("SELECT 1")
          _ = try await postgres.sql("SELECT pg_terminate_backend(\(db.backendPID))")
          _ = try await db.query("SELECT pg_sleep(5)")
        }
      }
      #expect(error?.fault?.sqlState == .adminShutdown)
      let one = try await running.pool.withConnection { db in try await db.query("SELECT 1")[0, 0] }
      #expect(one == "1")
      #expect(running.phases == [.warming, .ready] || !running.phases.contains(.unready))
    }
  }
}

/// Who has which session, to see that nobody shares one.
private final class Ledger: Sendable {
  private let state = Mutex<(inUse: Set<Int32>, served: Int)>(([], 0))

  func take(_ pid: Int32) -> Bool { state.withLock { $0.inUse.insert(pid).inserted } }

  func giveBack(_ pid: Int32) {
    state.withLock {
      $0.inUse.remove(pid)
      $0.served += 1
    }
  }

  var served: Int { state.withLock { $0.served } }
}
