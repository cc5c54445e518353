import Foundation
import PoolCore
import Support
import Synchronization
import Testing
import WarmPool

/// A pool under load, and a server to which something is about to happen.
///
/// `WARMGATE_TEST_SEED=n` makes the same choices again; how tasks and processes take turns is the machine's.
final class Chaos: Sendable {
  static let applicationName = "chaos"

  let pool: WarmPool
  let load: Load
  let seed: UInt64
  private let state: Mutex<State>

  private struct State: Sendable {
    var server: TestPostgres
    var random: SeededRandom
    var faultEnded: ContinuousClock.Instant?
    var floorAfter: Duration?
  }

  init(_ pool: WarmPool, on server: TestPostgres, seed: UInt64) {
    self.pool = pool
    self.seed = seed
    state = Mutex(State(server: server, random: SeededRandom(seed: seed)))
    load = Load(on: pool, seed: seed)
  }

  /// Where the ledger is: another one after a failover.
  var server: TestPostgres {
    get { state.withLock { $0.server } }
    set { state.withLock { $0.server = newValue } }
  }

  /// A choice of the test's own.
  func choose(_ range: Range<Int>) -> Int {
    state.withLock { Int.random(in: range, using: &$0.random) }
  }

  /// One of the pool's server processes; nil if there is none.
  func someBackend(of session: PsqlSession) async throws -> pid_t? {
    let pids = try await session.ask(
      "SELECT pid FROM pg_stat_activity WHERE application_name = '\(Self.applicationName)' ORDER BY pid"
    ).split(separator: "\n").compactMap { pid_t($0) }
    return pids.isEmpty ? nil : pids[choose(0..<pids.count)]
  }

  var isAtFloor: Bool {
    let snapshot = pool.snapshot
    return snapshot.verdict(at: WarmPool.now()).isReady && snapshot.pool.open >= snapshot.pool.min
  }

  /// Waits until it says that the server answered so, and that it is ready all the same.
  func becomesDegraded(by code: SQLState, within limit: Duration = .seconds(30)) async throws -> Bool {
    let deadline = ContinuousClock.now + limit
    while ContinuousClock.now < deadline {
      let verdict = pool.snapshot.verdict(at: WarmPool.now())
      if verdict.isReady, verdict.reasons.contains(where: { $0.fault?.sqlState == code }) { return true }
      try await Task.sleep(for: .milliseconds(5))
    }
    return false
  }

  /// The fault is over: waits until calls succeed again and the floor stands, and measures how long that took.
  func recovers(within limit: Duration = .seconds(60)) async {
    let ended = ContinuousClock.now
    load.markFaultsEnd(at: ended)
    let floorStands = await eventually(within: limit, every: .milliseconds(5)) { isAtFloor }
    #expect(floorStands, "the pool is not back at its floor: \(pool.snapshot.pool) \(pool.snapshot.reasons)")
    let floor = ContinuousClock.now - ended
    #expect(await load.succeeds(300, within: limit), "calls do not succeed again: \(load.tally.failures)")
    state.withLock { ($0.faultEnded, $0.floorAfter) = (ended, floor) }
  }

  /// Ends the load and checks everything that must hold whatever happened.
  func conclude(_ name: String) async throws {
    let allEnded = await load.stop()
    #expect(allEnded, "\(load.running) tasks hang")
    let tally = load.tally
    report(name, tally)
    #expect(tally.succeeded > 0)
    #expect(tally.wrongAnswers.isEmpty, "\(tally.wrongAnswers.prefix(5))")
    #expect(tally.longest < Load.deadline + .seconds(10), "an operation outlasted its deadline")

    let isWhole = await eventually(within: .seconds(60)) {
      let counts = pool.snapshot.pool
      return isAtFloor && counts.leased == 0 && counts.waiting == 0 && counts.connecting == 0
    }
    #expect(isWhole, "the pool at rest: \(pool.snapshot.pool) \(pool.snapshot.reasons)")
    #expect(pool.snapshot.counters.impossibleEvents == 0)
    // What was cut off may still be running at the server; afterwards exactly the pool's sessions are left.
    let noneLeaked = await eventually(within: .seconds(60), every: .milliseconds(200)) {
      try await server.sessions(like: Self.applicationName) == pool.snapshot.pool.open
    }
    #expect(noneLeaked, "sessions at the server are not the pool's: \(pool.snapshot.pool)")

    let problems = try await Ledger.disagreements(on: server, with: tally.claims)
    #expect(problems.isEmpty, "\(problems.count) problems: \(problems.prefix(5))")

    try await pool.drain(within: .seconds(10))
    #expect(pool.snapshot.pool.open == 0)
    let allGone = await eventually(every: .milliseconds(100)) {
      try await server.sessions(like: Self.applicationName) == 0
    }
    #expect(allGone, "sessions are left after the drain")
  }

  private func report(_ name: String, _ tally: Load.Tally) {
    let failures = tally.failures.sorted { $0.value > $1.value }.map { "\($0.value) × \($0.key)" }
    var line = "chaos: \(name): seed \(seed): \(tally.succeeded) succeeded, \(tally.failed) failed"
    if !failures.isEmpty { line += " (\(failures.joined(separator: ", ")))" }
    line += ", longest \(tally.longest.brief)"
    let (ended, floor) = state.withLock { ($0.faultEnded, $0.floorAfter) }
    if let ended, let floor, let first = tally.firstSuccess {
      line += "; after the fault: first success \((first - ended).brief), floor \(floor.brief)"
    }
    print(line)
    var times: [String] = []
    if let ended, let floor, let first = tally.firstSuccess {
      times = [(first - ended).brief, floor.brief]
    }
    ChaosTable.add(
      name, succeeded: tally.succeeded, failed: tally.failed, firstSuccess: times.first, floor: times.last,
      longest: tally.longest.brief)
  }
}

extension Duration {
  var brief: String {
    let seconds = Double(components.seconds) + Double(components.attoseconds) / 1e18
    return String(format: "%.2f s", seconds)
  }
}

/// The seed of this run: `WARMGATE_TEST_SEED`, or a random one.
let chaosSeed: UInt64 =
  ProcessInfo.processInfo.environment["WARMGATE_TEST_SEED"].flatMap(UInt64.init) ?? .random(in: 1...999_999)

/// Runs a pool of ten connections under load on a server of its own; `body` does something to it. Then everything
/// that must hold is checked.
func withChaos(
  _ name: String, settings: [String: String] = [:], namespace: String? = nil, address: String = "127.0.0.1",
  prepare: (TestPostgres) async throws -> Void = { try await Ledger.create(on: $0) },
  configure: (inout WarmPool.Configuration, TestPostgres) throws -> Void = { _, _ in },
  makePool: (WarmPool.Configuration) throws -> WarmPool = { try WarmPool($0, seed: chaosSeed) },
  _ body: (Chaos) async throws -> Void
) async throws {
  let settings = settings.merging(["max_connections": "40", "synchronous_commit": "on"]) { mine, _ in mine }
  try await withPostgres(settings, namespace: namespace, address: address) { postgres in
    try await prepare(postgres)
    var configuration = WarmPool.Configuration(databaseURL: postgres.unixURL)
    configuration.applicationName = Chaos.applicationName
    configuration.minConnections = 4
    configuration.maxConnections = 10
    configuration.pool.maxWaiting = 1000
    configuration.pool.acquireTimeout = .seconds(4)
    configuration.pool.probeInterval = .seconds(1)
    configuration.pool.connectTimeout = .seconds(2)
    configuration.pool.drainDelay = .milliseconds(50)
    try configure(&configuration, postgres)
    let pool = try makePool(configuration)
    async let life: Void = pool.run()
    do {
      try await pool.warmed(within: .seconds(30))
      let chaos = Chaos(pool, on: postgres, seed: chaosSeed)
      do {
        #expect(await chaos.load.succeeds(200), "the load does not run: \(chaos.load.tally.failures)")
        try await body(chaos)
        try await chaos.conclude(name)
      } catch {
        _ = await chaos.load.stop()
        throw error
      }
      _ = try? await pool.terminate(within: .seconds(1))
      await life
    } catch {
      _ = try? await pool.terminate(within: .seconds(1))
      await life
      throw error
    }
  }
}
