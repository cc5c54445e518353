import Testing

@testable import PoolCore

@Suite struct AgeingAndPruning {
  static func ready(seed: UInt64 = 1, _ change: (inout PoolSettings) -> Void) -> VirtualPool {
    let pool = VirtualPool(seed: seed, change)
    pool.advance(within: .seconds(30)) { $0.isReady && $0.open >= $0.settings.minConnections }
    pool.clearLog()
    return pool
  }

  /// The numbers of open connections that were seen while time went on.
  private func sizes(_ pool: VirtualPool, during time: Duration) -> ClosedRange<Int> {
    var (least, most) = (pool.open, pool.open)
    pool.advance(within: time) {
      least = min(least, $0.open)
      most = max(most, $0.open)
      return false
    }
    return least...most
  }

  @Test("every connection is replaced at its age less 0 to 25 %, the probe's own too")
  func lifetime() {
    let pool = Self.ready {
      $0.minConnections = 5
      $0.maxLifetime = .seconds(600)
    }
    pool.advance(by: .seconds(449))
    #expect(pool.closes.isEmpty)
    let first = Set(pool.sessions.keys)
    pool.advance(by: .seconds(165))
    #expect(Set(pool.sessions.keys).isDisjoint(with: first))
    #expect(pool.closes.allSatisfy { $0.reason == .maxLifetime })
    #expect(pool.closes.count == 5)
    #expect(!pool.lostReadiness && pool.isReady)
    #expect(!pool.transitions.contains { $0.degraded })
  }

  @Test("with room under the ceiling the successor is opened first: the floor never falls")
  func openFirst() {
    let pool = Self.ready {
      $0.minConnections = 4
      $0.maxLifetime = .seconds(60)
    }
    #expect(sizes(pool, during: .seconds(600)) == 4...5)
    #expect(pool.closes.count > 30)
    #expect(!pool.lostReadiness)
  }

  @Test("at the ceiling the old one is closed first, and never two at a time")
  func closeFirst() {
    var server = VirtualServer()
    server.loginLatency = .milliseconds(900)
    var settings = PoolSettings()
    settings.minConnections = 5
    settings.maxConnections = 5
    settings.maxLifetime = .seconds(60)
    let pool = VirtualPool(settings, server: server)
    pool.advance(within: .seconds(30)) { $0.isReady }
    pool.clearLog()
    #expect(sizes(pool, during: .seconds(600)) == 4...5)
    #expect(pool.closes.count > 30)
    #expect(!pool.lostReadiness)
  }

  @Test("when all are too old at once, they are still replaced one at a time", arguments: [5, 6])
  func allAtOnce(max: Int) {
    var server = VirtualServer()
    server.loginLatency = .milliseconds(900)
    var settings = PoolSettings()
    settings.minConnections = 5
    settings.maxConnections = max
    settings.maxLifetime = .seconds(60)
    let pool = VirtualPool(settings, server: server)
    pool.advance(within: .seconds(30)) { $0.isReady }
    pool.server.refuse(.wrongPassword)
    pool.advance(by: .seconds(300))
    pool.server.heal()
    pool.advance(within: .seconds(70)) { !$0.core.logins.isFailing }
    pool.clearLog()
    #expect(sizes(pool, during: .seconds(30)) == (max == 5 ? 4...5 : 5...6))
    #expect(pool.closes.count >= 4)
    #expect(!pool.lostReadiness)
  }

  @Test("a hundred connections opened at one instant do not expire together")
  func spread() {
    let pool = Self.ready {
      $0.minConnections = 100
      $0.maxConnections = 110
      $0.maxLifetime = .seconds(1800)
    }
    let ages = pool.core.members.all.map { $0.member.expires - .origin }
    #expect(ages.allSatisfy { (.seconds(1350)...Duration.milliseconds(1800_500)).contains($0) })
    #expect(ages.count { $0 < .seconds(1500) } > 15 && ages.count { $0 > .seconds(1650) } > 15)
    pool.advance(by: .seconds(1900))
    let times = pool.closes.filter { $0.reason == .maxLifetime }.map(\.at)
    #expect(times.count >= 100)
    for start in stride(from: 1350, to: 1800, by: 10) {
      let window = Instant.origin + .seconds(start)
      #expect(times.count { $0 >= window && $0 < window + .seconds(10) } <= 12)
    }
  }

  @Test(
    "a lease is never cut for its connection's age, and one that lasts for hours stops nobody else's ageing")
  func longLease() throws {
    for max in [4, 6] {
      let pool = Self.ready {
        $0.minConnections = 4
        $0.maxConnections = max
        $0.maxLifetime = .seconds(60)
      }
      let lease = pool.acquire()
      let held = try #require(pool.connection(of: lease))
      let first = Set(pool.sessions.keys)
      pool.advance(by: .seconds(400))
      #expect(pool.connection(of: lease) == held)
      #expect(Set(pool.sessions.keys).intersection(first) == [held])
      pool.release(lease)
      pool.advance(by: .seconds(2))
      #expect(pool.sessions[held] == nil)
      #expect(!pool.lostReadiness)
    }
  }

  @Test(
    "while the successor of one in use waits, it is not pruned, and makes up the floor if another is lost")
  func waitingSuccessor() throws {
    let pool = Self.ready {
      $0.minConnections = 3
      $0.maxLifetime = .seconds(60)
      $0.idleTimeout = .seconds(5)
    }
    let lease = pool.acquire()
    pool.advance(by: .seconds(1))
    let old = try #require(pool.connection(of: lease))
    func isWaiting() -> Bool {
      guard case .opened = pool.core.ageing, pool.idle.count == 2 else { return false }
      return pool.core.members.all.allSatisfy { $0.id == old || $0.member.expires > pool.now + .seconds(30) }
    }
    try #require(pool.advance(within: .seconds(300), grain: .milliseconds(100)) { _ in isWaiting() } != nil)
    pool.clearLog()
    pool.advance(by: .seconds(15))
    #expect(pool.closes.isEmpty && pool.open == 4)
    pool.end(try #require(pool.idle.first), .server("57P05", at: .idle))
    pool.release(lease)
    // Now it is one of the floor, and closed only for a successor of its own.
    #expect(pool.sessions[old] != nil && pool.open == 3)
    pool.advance(by: .seconds(10))
    #expect(pool.sessions[old] == nil && pool.open == 3)
  }

  @Test("a pool that is never idle replaces its connections as they come back, and the probe's")
  func busy() {
    for max in [4, 6] {
      let pool = Self.ready {
        $0.minConnections = 4
        $0.maxConnections = max
        $0.maxLifetime = .seconds(60)
        $0.maxWaiting = 100
      }
      let first = Set(pool.sessions.keys)
      var holders = (0..<3).map { _ in pool.acquire(for: .seconds(60)) }
      for round in 0..<4000 {
        while pool.line.count < 4 { holders.append(pool.acquire(for: .seconds(60))) }
        let next = holders.remove(at: round % 3)
        pool.release(next)
        if pool.connection(of: next) == nil, pool.state(next) == .waiting { holders.append(next) }
        pool.advance(by: .milliseconds(50))
      }
      #expect(Set(pool.sessions.keys).isDisjoint(with: first), "ceiling \(max)")
      #expect(!pool.lostReadiness)
    }
  }

  @Test("the only connection that a ceiling of one allows is never closed for its age")
  func onlyOne() {
    let pool = Self.ready {
      $0.minConnections = 1
      $0.maxConnections = 1
      $0.maxLifetime = .seconds(5)
    }
    pool.advance(by: .seconds(600))
    #expect(pool.closes.isEmpty)
    #expect(!pool.lostReadiness)
  }

  @Test("while the probe is in doubt nothing is closed for its age")
  func inDoubt() {
    let pool = Self.ready {
      $0.minConnections = 4
      $0.maxLifetime = .seconds(20)
      $0.fall = 100
    }
    pool.server.probe = .fails(.unexpectedAnswer)
    pool.advance(by: .seconds(10))
    pool.clearLog()
    pool.advance(by: .seconds(120))
    #expect(pool.closes.isEmpty)
  }

  // MARK: - Pruning

  /// Ready, grown to its ceiling of 10 by callers that are gone.
  static func grown(_ change: (inout PoolSettings) -> Void = { _ in }) -> VirtualPool {
    let pool = ready {
      $0.maxLifetime = .seconds(86_400)
      change(&$0)
    }
    let leases = (0..<9).map { _ in pool.acquire(for: .seconds(5)) }
    pool.advance(within: .seconds(5)) { $0.open == 10 && $0.line.isEmpty }
    for lease in leases { pool.release(lease) }
    pool.clearLog()
    return pool
  }

  @Test(
    "above the floor, what has been idle for idle-timeout ± 20 % is closed, one every 10 s, down to the floor"
  )
  func pruning() {
    let pool = Self.grown()
    pool.advance(by: .seconds(239))
    #expect(pool.closes.isEmpty)
    pool.advance(by: .seconds(600))
    #expect(pool.open == 2)
    #expect(pool.closes.allSatisfy { $0.reason == .idleTimeout })
    for (a, b) in zip(pool.closes, pool.closes.dropFirst()) { #expect(b.at - a.at >= .seconds(10)) }
    pool.advance(by: .seconds(3600))
    #expect(pool.open == 2)
    #expect(!pool.lostReadiness)
  }

  @Test("keep-alives and probes are not use, leases are: what is in use now and then stays")
  func pruningCountsUse() {
    let pool = Self.grown { $0.idleTimeout = .seconds(100) }
    for _ in 0..<40 {
      pool.advance(by: .seconds(15))
      let leases = (0..<3).map { _ in pool.acquire() }
      pool.advance(within: .seconds(1)) { $0.line.isEmpty }
      for lease in leases { pool.release(lease) }
    }
    // Three that are in use, and the probe's.
    #expect(pool.open == 4)
    #expect(pool.verified.count > 15)
  }

  @Test("nothing is pruned while logins fail")
  func noPruningWhileFailing() {
    let pool = Self.grown { $0.idleTimeout = .seconds(100) }
    pool.server.refuse(.wrongPassword)
    pool.end(pool.idle[0], .server("57P05", at: .idle))
    pool.acquire()
    for _ in 0..<9 { pool.acquire() }
    pool.advance(by: .seconds(3))
    for (lease, state) in pool.leases { if case .granted = state.state { pool.release(lease) } }
    #expect(pool.isDegraded)
    pool.clearLog()
    pool.advance(by: .seconds(900))
    #expect(pool.closes.isEmpty)
  }
}
