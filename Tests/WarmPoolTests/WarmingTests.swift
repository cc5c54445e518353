import PoolCore
import Support
import Testing
import WarmPool

@Suite(.timeLimit(.minutes(10))) struct WarmingTests {
  @Test(
    "warmed returns when the floor is open at the server and the probe has answered", arguments: [1, 2, 5])
  func warms(floor: Int) async throws {
    try await withPool({ $0.minConnections = floor }) { running, postgres in
      try await running.pool.warmed(within: .seconds(20))
      #expect(try await postgres.sessions(like: "warmgate/test") == floor)
      let snapshot = running.pool.snapshot
      #expect(snapshot.phase == .ready)
      #expect(snapshot.probe.lastGood != nil)
      #expect(running.verdict.isReady)
      #expect(running.phases == [.warming, .ready])
    }
  }

  @Test("a probe query that fails keeps the pool from being warm, with the reason")
  func failingProbe() async throws {
    try await withPool({ $0.probeQuery = "SELECT nothing" }) { running, _ in
      #expect(await eventually { running.pool.snapshot.probe.failuresInRow >= 2 })
      #expect(running.verdict.reasons.first?.fault?.sqlState?.code == "42703")
      await #expect(throws: PoolError.self) { try await running.pool.warmed(within: .milliseconds(50)) }
      // Failing questions are no reason to log in again and again.
      #expect(running.pool.snapshot.counters.loginsSucceeded == 1)
    }
  }

  @Test("an answer other than the expected one keeps the pool from being warm, and the right one warms it")
  func unexpectedAnswer() async throws {
    try await withPool({
      $0.probeQuery = "SELECT count(*) FROM pg_class WHERE relname = 'migrated'"
      $0.probeExpect = "1"
    }) { running, postgres in
      #expect(await eventually { running.pool.snapshot.probe.last?.fault?.kind == .unexpectedAnswer })
      #expect(!running.verdict.isReady)
      _ = try await postgres.sql("CREATE TABLE migrated ()")
      try await running.pool.warmed(within: .seconds(20))
    }
  }

  @Test("a database that comes later is found, and warmed returns")
  func lateDatabase() async throws {
    let postgres = try await TestPostgres.make()
    let running = try RunningPool(postgres)
    async let life: Void = running.pool.run()
    #expect(await eventually { running.verdict.reasons.first?.fault?.kind == .refused })
    try await postgres.start()
    try await running.pool.warmed(within: .seconds(20))
    try await running.pool.terminate(within: .seconds(1))
    await life
    await blocking { postgres.close() }
  }

  @Test("bad settings are refused before anything starts")
  func badSettings() throws {
    func refused(_ setting: String, _ change: (inout WarmPool.Configuration) -> Void) {
      var configuration = WarmPool.Configuration()
      change(&configuration)
      let error = #expect(throws: SettingsError.self) { _ = try WarmPool(configuration) }
      #expect(error?.setting == setting)
      #expect(error?.description.contains("geheim") == false)
    }
    refused("min-connections") { $0.minConnections = 0 }
    refused("max-connections") { $0.maxConnections = 1 }
    refused("probe-query") { $0.probeQuery = " " }
    refused("max-replay-lag") { $0.maxReplayLag = .seconds(1) }
    refused("probe-timeout") { $0.pool.probeTimeout = .seconds(6) }
    refused("database-url") { $0.databaseURL = "postgresql://u:geheim@host/db?nonsense=1" }
  }

  @Test("a corrected password file is noticed by itself")
  func passwordFile() async throws {
    let directory = try TemporaryDirectory()
    let path = try directory.write("password", "wrong\n")
    try await withPostgres { postgres in
      let running = try RunningPool(postgres) {
        $0.databaseURL = "postgresql://postgres@127.0.0.1:\(postgres.port)/postgres"
        $0.passwordFile = path
      }
      async let life: Void = running.pool.run()
      // The second failure is paced as wrong configuration: the next try would come after half a minute.
      #expect(await eventually { running.pool.snapshot.login.failuresInRow >= 2 })
      #expect(running.verdict.reasons.first?.fault?.sqlState == .invalidPassword)
      try directory.write("password", TestPostgres.password + "\n")
      try await running.pool.warmed(within: .seconds(20))
      try await running.pool.terminate(within: .seconds(1))
      await life
    }
  }
}
