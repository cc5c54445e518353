import PoolCore
import Support
import Synchronization
import Testing
import WarmPool

@Suite(.timeLimit(.minutes(5))) struct DrainExample {
  private func serve(
    _ configuration: WarmPool.Configuration, until stopRequested: (WarmPool) async throws -> Void,
    log: (String) -> Void
  ) async throws {
    // ----
    let pool = try WarmPool(configuration)
    async let running: Void = pool.run()
    try await pool.warmed(within: .seconds(60))

    try await stopRequested(pool)  // serve, until SIGTERM

    let counts = try await pool.terminate(within: .seconds(25))
    log("\(counts.finished) leases finished, \(counts.cut) cut off, \(counts.refused) callers refused")
    await running
    // ----
  }

  private func outAndIn(_ pool: WarmPool) async throws -> Snapshot.Phase {
    // ----
    try await pool.drain(within: .seconds(25))  // out of rotation, no session left at the server
    // …the maintenance…
    try await pool.resume()
    try await pool.warmed(within: .seconds(60))
    // ----
    return pool.snapshot.phase
  }

  @Test("a service ends with its leases counted")
  func ends() async throws {
    try await withPostgres { server in
      var configuration = WarmPool.Configuration(databaseURL: server.unixURL)
      configuration.pool.drainDelay = .zero
      let logged = Mutex("")
      try await serve(
        configuration,
        until: { pool in try await pool.withConnection { db in _ = try await db.query("SELECT 1") } },
        log: { text in logged.withLock { $0 = text } })
      #expect(logged.withLock { $0 } == "0 leases finished, 0 cut off, 0 callers refused")
      #expect(await eventually { try await server.sessions(like: "warmpool%") == 0 })
    }
  }

  @Test("a pool is taken out of rotation and put back")
  func resumes() async throws {
    try await withPool { running, _ in
      try await running.pool.warmed(within: .seconds(20))
      #expect(try await outAndIn(running.pool) == .ready)
    }
  }
}
