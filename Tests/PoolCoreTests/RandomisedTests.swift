import Foundation
import Testing

@testable import PoolCore

/// Random lives of a pool: callers, faults, drains, a loop that is late. After every event the laws of
/// `VirtualPool+Laws` hold, and once the server is well again the pool is ready within bounded time.
///
/// Every run lives the same lives, so that what fails has just been changed. `WARMGATE_TEST_SEED=random` lives others,
/// `WARMGATE_TEST_LIVES=n` so many; `WARMGATE_TEST_SEED=n` lives one again.
@Suite struct Randomised {
  static let environment = ProcessInfo.processInfo.environment

  @Test("whatever happens, the laws of the pool hold, and it recovers once the faults stop")
  func randomLives() {
    if let seed = Self.environment["WARMGATE_TEST_SEED"].flatMap(UInt64.init) {
      let life = Life(seed: seed)
      life.live()
      print(life.pool.settings)
      for (at, effect) in life.pool.log.suffix(1000) { print(at - .origin, effect) }
      for problem in life.problems { Issue.record("seed \(seed): \(problem)") }
      return
    }
    let lives = Self.environment["WARMGATE_TEST_LIVES"].flatMap(UInt64.init) ?? 2000
    var first = firstSeed()
    print("\(lives) lives from seed \(first)")
    var (ready, drained, events) = (0, 0, 0)
    for _ in 0..<lives {
      let life = Life(seed: first)
      life.pool.keepsLog = false
      life.live()
      events += life.pool.events
      ready += life.pool.hasBeenReady ? 1 : 0
      drained += life.pool.phase == .drained ? 1 : 0
      if let problem = life.problems.first {
        Issue.record("WARMGATE_TEST_SEED=\(first): \(problem), and \(life.problems.count - 1) more")
        return
      }
      first &+= 1
    }
    print("\(events) events, \(ready) lives were ready, \(drained) ended drained")
    // The lives are worth something only if they get somewhere.
    #expect(ready > Int(lives) / 2)
    #expect(drained > 0)
    #expect(events > Int(lives) * 150)
  }

  @Test("a life lived again is the same life")
  func lifeIsReplayed() {
    for seed in UInt64(1)...20 {
      let lives = (0..<2).map { _ in
        let life = Life(seed: seed)
        life.live()
        return life.pool.log.map { "\($0.at.nanoseconds) \($0.effect)" }
      }
      #expect(lives[0] == lives[1], "seed \(seed)")
    }
  }
}

/// One random life.
private final class Life {
  let pool: VirtualPool
  private(set) var problems: [String] = []
  private var random: RandomSource
  private var isTerminated = false
  private var open: [LeaseID] = []

  static let loginFaults: [Fault] = [
    .refused, .full, .starting, .wrongPassword, .loginTimedOut, Fault(.timedOut, at: .authentication),
    .server("3D000"), .server("28000"),
    .server("55000"), .server("08P01"), Fault(.nameNotFound, at: .name), Fault(.certificate, at: .tls),
    Fault(.wrongRole, at: .role), Fault(.attemptsStuck, at: .name),
  ]
  static let ends: [Fault] = [
    .closed, .closed, .shutDown, .shutDown, .crashed, .readOnly, .server("57P05", at: .idle),
    .server("57P04", at: .idle), Fault(.timedOut, at: .idle), .server("XX000", at: .query),
  ]
  static let probeFaults: [Fault] = [
    .unexpectedAnswer, .server("57014", at: .probe), .readOnly, Fault(.wrongRole, at: .role),
    .server("42P01", at: .probe), Fault(.replayLag, at: .role),
  ]

  init(seed: UInt64) {
    random = RandomSource(seed: seed &* 0x9E37_79B9)
    var server = VirtualServer()
    server.loginLatency = random.pick([.milliseconds(2), .milliseconds(50), .milliseconds(700)])
    server.queryLatency = random.pick([.zero, .milliseconds(1), .milliseconds(10)])
    if random.next() % 2 == 0 { server.cluster = ClusterID(1) }
    server.slots = random.pick([nil, nil, 12, 40])
    let settings = PoolSettings.random(&random)
    let drained = random.next() % 20 == 0
    pool = VirtualPool(
      settings, seed: seed, drained: drained, begun: false, insistsOnPrimary: random.next() % 2 == 0,
      server: server)
    pool.tickets = random.pick([nil, VirtualTickets(1), VirtualTickets(0)])
    pool.broken = { [weak self] in self?.problems.append($0) }
    do throws(SettingsError) { try settings.validate() } catch { problems.append("settings: \(error)") }
    pool.send(.begin)
  }

  func live() {
    while pool.events < 200, problems.isEmpty { act() }
    if problems.isEmpty { recover() }
  }

  private func chance(_ percent: UInt64) -> Bool { random.next() % 100 < percent }
  private func pick<T>(_ choices: [T]) -> T { random.pick(choices) }

  private func act() {
    open.removeAll { pool.connection(of: $0) == nil && pool.state($0) != .waiting }
    switch random.next() % 100 {
    case 0..<30:
      pool.advance(by: random.duration(from: .zero, to: pick([.milliseconds(5), .seconds(1), .seconds(8)])))
    case 30..<34: pool.advance(by: random.duration(from: .zero, to: .seconds(40)))
    case 34..<36: pool.skip(random.duration(from: .zero, to: .seconds(3)))
    case 36..<52:
      open.append(
        pool.acquire(
          for: random.duration(from: .milliseconds(-1), to: pick([.milliseconds(50), .seconds(5)]))))
    case 52..<66:
      guard !open.isEmpty else { return }
      let fault = chance(15) ? pick(Self.ends + Self.probeFaults) : nil
      pool.release(pick(open), reusable: fault == nil && chance(95), fault)
    case 66..<68: if !open.isEmpty { pool.abandon(pick(open)) }
    case 68: if !open.isEmpty { pool.exchange(pick(open)) }
    case 69..<75:
      if let id = pool.sessions.keys.sorted().randomElement(using: &random) { pool.end(id, pick(Self.ends)) }
    case 75..<76: pool.endAll(pick(Self.ends))
    case 76..<80: pool.server.login = pick([.answers, .silent, .refuses(pick(Self.loginFaults))])
    case 80..<83:
      pool.server.probe = pick([.answers, .silent, .fails(pick(Self.probeFaults)), .ends(pick(Self.ends))])
    case 83..<85: pool.server.emptyQuery = pick([.answers, .silent, .ends(pick(Self.ends))])
    case 85..<87:
      if let id = pool.sessions.keys.sorted().randomElement(using: &random) {
        pool.server.queries[id] = .silent
      }
    case 87..<88: pool.server.hang()
    case 88..<92: pool.server.heal()
    case 92..<93: pool.server.host = HostID(Int(random.next() % 2))
    case 93..<94: pool.send(.credentialsChanged)
    case 94: if chance(30) { pool.send(.wake) } else { crowd() }
    case 95: pool.send(.unanswered)
    case 96..<97: pool.drain(for: random.duration(from: .zero, to: .seconds(20)))
    case 97..<99: pool.send(.resume)
    default:
      guard chance(10) else { return }
      isTerminated = true
      pool.terminate(for: random.duration(from: .zero, to: .seconds(20)))
    }
  }

  /// Others of the fleet, and strangers, come and go.
  private func crowd() {
    let peers = Int(random.next() % 20)
    pool.server.peers = chance(50) ? (peers, peers * pick([1, 2, 5])) : nil
    pool.server.foreign = (pool.server.peers?.sessions ?? 0) + pick([0, 3, 30])
    pool.server.unseen = pick([0, 0, 5])
    pool.server.appSessions = pick([nil, 0, 3])
    if pool.ticket == nil { pool.tickets?.free = pick([0, 1]) }
  }

  /// The faults stop, callers give up and give back.
  private func recover() {
    pool.server.heal()
    (pool.server.peers, pool.server.foreign, pool.server.unseen) = (nil, 0, 0)
    if pool.ticket == nil { pool.tickets?.free = 1 }
    if isTerminated || chance(10) {
      pool.drain(for: .seconds(20))
      if pool.advance(within: .seconds(21), until: { $0.phase == .drained }) == nil {
        problems.append("not drained by its deadline")
      }
      let undecided = pool.leases.values.filter {
        if case .granted = $0.state { true } else { $0.state == .waiting }
      }
      if !undecided.isEmpty { problems.append("\(undecided.count) leases have no end after a drain") }
      if !pool.sessions.isEmpty || !pool.connecting.isEmpty { problems.append("drained with connections") }
      if pool.core.nextWake != nil { problems.append("drained, and wants to be woken") }
      return
    }
    if pool.phase == .draining || pool.phase == .drained { pool.send(.resume) }
    for lease in open where pool.state(lease) == .waiting { pool.abandon(lease) }
    for lease in open { pool.release(lease) }
    func isWell(_ pool: VirtualPool) -> Bool {
      pool.core.phase == .ready && pool.core.members.current >= pool.settings.minConnections
        && !pool.core.logins.isFailing && pool.isReady && !pool.isDegraded
    }
    // What was asked before the server was well again goes unanswered still.
    _ = pool.advance(within: .seconds(200), until: isWell)
    pool.advance(by: pool.settings.probeTrust)
    guard pool.advance(within: .seconds(200), until: isWell) != nil else {
      problems.append("not well again in time: \(pool.phase) \(pool.reasons) \(pool.snapshot.pool)")
      return
    }
    // And it stays so, although connections grow old.
    let since = pool.now
    pool.clearLog()
    pool.advance(by: min(.seconds(60), pool.settings.probeInterval * 40))
    if pool.core.timeline.contains(where: { $0.at > since && $0.from == .ready && $0.to != .ready }) {
      problems.append("ready was lost on a server that is well")
    }
    if !line().isEmpty { problems.append("callers wait beyond their deadline") }
  }

  private func line() -> [LeaseID] {
    pool.line.filter { pool.leases[$0].map { $0.deadline < pool.now } ?? false }
  }
}

extension RandomSource {
  fileprivate mutating func pick<T>(_ choices: [T]) -> T { choices[Int(next() % UInt64(choices.count))] }
}

extension PoolSettings {
  fileprivate static func random(_ random: inout RandomSource) -> PoolSettings {
    var settings = PoolSettings()
    settings.minConnections = random.pick([1, 1, 2, 2, 3, 5])
    settings.maxConnections = settings.minConnections + random.pick([0, 0, 1, 2, 5])
    settings.elasticMin = random.next() % 3 == 0
    settings.fleetTickets = random.pick([0, 0, 1])
    if settings.fleetTickets > 0 { settings.holdForApp = random.pick([0, 2]) }
    settings.maxWaiting = random.pick([nil, 0, 2, 20])
    settings.acquireTimeout = random.pick([.milliseconds(100), .seconds(2), .seconds(10)])
    settings.idleTimeout = random.pick([.seconds(1), .seconds(20), .seconds(300)])
    settings.maxLifetime = random.pick([.seconds(1), .seconds(5), .seconds(60), .seconds(1800)])
    settings.healthCheckInterval = random.pick([.seconds(1), .seconds(5), .seconds(30)])
    if settings.healthCheckInterval >= settings.maxLifetime { settings.healthCheckInterval = .seconds(30) }
    settings.idleTimeout = min(settings.idleTimeout, settings.maxLifetime)
    settings.probeInterval = random.pick([.milliseconds(200), .seconds(1), .seconds(5)])
    settings.probeTimeout = min(
      settings.probeInterval, random.pick([.milliseconds(20), .milliseconds(200), .seconds(1)]))
    settings.rise = random.pick([1, 1, 2, 3])
    settings.fall = random.pick([1, 2, 2, 4])
    settings.whenDatabaseLost = random.pick([.unready, .hold(.seconds(3)), .stay])
    settings.drainDelay = random.pick([.zero, .seconds(1), .seconds(5)])
    settings.splay = random.pick([.zero, .zero, .seconds(1)])
    return settings
  }
}

/// Where a row of seeds begins: at 1, or anywhere if `WARMGATE_TEST_SEED` is `random`.
func firstSeed() -> UInt64 {
  Randomised.environment["WARMGATE_TEST_SEED"] == "random" ? .random(in: 0...UInt64(UInt32.max)) : 1
}
