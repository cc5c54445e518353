import Support
import Synchronization
import Testing
import WarmPool

@Suite(.timeLimit(.minutes(5))) struct WarmingExample {
  private func start(
    _ url: String, patience: Duration, log: (String) -> Void, _ then: (WarmPool) async throws -> Void
  ) async throws {
    // ----
    var configuration = WarmPool.Configuration(databaseURL: url)
    configuration.minConnections = 4
    configuration.maxConnections = 16
    let pool = try WarmPool(configuration)  // throws on bad settings only
    async let running: Void = pool.run()
    do {
      try await pool.warmed(within: patience)
    } catch let error as PoolError {
      log("not warm yet: \(error)")  // the pool goes on trying
    }
    // ----
    try await then(pool)
    try await pool.terminate(within: .seconds(1))
    await running
  }

  private func ready(_ pool: WarmPool) -> (status: Int, body: String) {
    // ----
    let verdict = pool.snapshot.verdict(at: WarmPool.now())
    let status = verdict.isReady ? 200 : 503
    let body = verdict.reasons.map(\.text).joined(separator: "; ")
    // ----
    return (status, body)
  }

  @Test("a pool is warmed to its floor, and says so")
  func warms() async throws {
    try await withPostgres { server in
      try await start(server.unixURL, patience: .seconds(30), log: { Issue.record("\($0)") }) { pool in
        #expect(pool.snapshot.pool.open == 4)
        #expect(ready(pool) == (200, ""))
      }
    }
  }

  @Test("a pool whose server is not there says why, and is warm once it is")
  func waits() async throws {
    let server = try await TestPostgres.make()
    let logged = Mutex("")
    try await start(
      server.unixURL, patience: .seconds(3), log: { text in logged.withLock { $0 = text } }
    ) { pool in
      let refused = "not warm yet: not ready in time: warming 0/4, tcp: connection refused"
      #expect(logged.withLock { $0 }.hasPrefix(refused))
      #expect(ready(pool) == (503, "warming 0/4, tcp: connection refused"))
      try await server.start()
      try await pool.warmed(within: .seconds(30))
      #expect(ready(pool).status == 200)
    }
    server.close()
  }
}
