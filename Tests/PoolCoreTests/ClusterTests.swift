import Testing

@testable import PoolCore

/// An address that leads to another database cluster than before.
@Suite struct Clusters {
  static let first = ClusterID(7_310_562_509_139_303_888)
  static let second = ClusterID(-1)

  static func ready(
    seed: UInt64 = 1, _ change: (inout PoolSettings) -> Void = { $0.minConnections = 4 }
  ) -> VirtualPool {
    var server = VirtualServer()
    server.cluster = first
    var settings = PoolSettings()
    change(&settings)
    let pool = VirtualPool(settings, seed: seed, server: server)
    pool.advance(within: .seconds(30)) { $0.isReady }
    pool.advance(by: .milliseconds(900))
    pool.clearLog()
    return pool
  }

  private func retirements(_ pool: VirtualPool) -> [Retirement] {
    pool.log.compactMap { if case .retired(let retirement) = $0.effect { retirement } else { nil } }
  }

  @Test(
    "a login at another cluster gives up all connections to the one before; leases finish, and then close")
  func failback() throws {
    let pool = Self.ready()
    let lease = pool.acquire()
    let (held, old) = (try #require(pool.connection(of: lease)), Set(pool.sessions.keys))
    pool.server.cluster = Self.second
    // One session ends by itself: nothing else would cause a login.
    pool.end(pool.idle[0], .server("57P05", at: .idle))
    pool.advance(by: .seconds(5))
    #expect(Set(pool.sessions.keys).intersection(old) == [held])
    #expect(pool.connection(of: lease) == held)
    #expect(pool.closes.count { $0.reason == .otherCluster } == 2)
    #expect(pool.isReady && !pool.lostReadiness)
    #expect(pool.snapshot.generation == 2 && pool.snapshot.cluster == Self.second)
    let retirement = try #require(retirements(pool).first)
    #expect(retirements(pool).count == 1 && pool.snapshot.retirement == retirement)
    #expect(retirement.reason == .otherCluster && retirement.generation == 2)
    #expect(retirement.fault?.kind == .otherCluster)
    #expect(retirement.fault?.message.contains("\(Self.first)") == true)
    #expect(pool.snapshot.faults.contains { $0.fault.kind == .otherCluster })
    pool.release(lease)
    #expect(pool.closes.last.map { $0.id == held && $0.reason == .retired } == true)
    pool.advance(by: .seconds(1))
    #expect(pool.open == 4)
  }

  @Test("the same cluster, or a server that does not tell, gives up nothing", arguments: [first, nil])
  func same(_ cluster: ClusterID?) {
    let pool = Self.ready()
    pool.server.cluster = cluster
    pool.end(pool.idle[0], .server("57P05", at: .idle))
    pool.advance(by: .seconds(5))
    #expect(pool.snapshot.generation == 1 && pool.snapshot.retirement == nil)
    #expect(pool.snapshot.cluster == Self.first)
    #expect(pool.closes.count == 1)
  }

  @Test("a cluster that was initialised anew while nothing was open is noticed, and delays nothing")
  func reinitialised() {
    let pool = Self.ready()
    pool.server.refuse(.refused)
    pool.endAll(.closed)
    pool.advance(by: .seconds(10))
    let before = pool.snapshot.generation
    pool.server.heal()
    pool.server.cluster = Self.second
    pool.advance(within: .seconds(10)) { $0.open > 0 }
    pool.advance(by: .milliseconds(50))
    #expect(pool.open == 4)
    #expect(pool.snapshot.generation == before + 1)
    #expect(pool.snapshot.retirement?.reason == .otherCluster)
  }

  @Test(
    "connections to two clusters never mix, and an address that leads to both is knocked at ever less often",
    arguments: 1...8)
  func alternating(seed: UInt64) {
    let pool = Self.ready(seed: seed)
    // Whether two logins arrive together, and at which cluster, depends on what is left when they begin.
    if seed % 2 == 0 { pool.endAll(.closed) } else { pool.endAll(.crashed) }
    pool.clearLog()
    var logins = 0
    pool.advance(within: .seconds(60)) {
      if $0.attempts.count > logins {
        $0.server.cluster = $0.server.cluster == Self.first ? Self.second : Self.first
      }
      logins = $0.attempts.count
      return false
    }
    #expect(pool.snapshot.generation > 5)
    #expect((10...120).contains(pool.attempts.count), "\(pool.attempts.count) logins in a minute")
  }

  @Test("a login that ends up at another host says nothing about the probe's cluster")
  func otherHost() throws {
    let pool = Self.ready()
    pool.end(pool.idle[0], .server("57P05", at: .idle))
    let stray = try #require(pool.connecting.min())
    pool.send(
      .loggedIn(
        stray, host: HostID(7), server: ServerID(Self.second, started: 0), took: .milliseconds(1)))
    #expect(pool.snapshot.generation == 1 && pool.snapshot.cluster == Self.first)
    #expect(pool.closes.last?.reason == .otherHost)
  }
}
