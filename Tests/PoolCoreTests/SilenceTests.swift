import PoolCore
import Testing

@Suite("a database that has fallen silent") struct Silence {
  private func ready(insistsOnPrimary: Bool = true, max: Int = 4) -> VirtualPool {
    var settings = PoolSettings()
    settings.maxConnections = max
    var server = VirtualServer()
    server.cluster = ClusterID(1)
    let pool = VirtualPool(settings, insistsOnPrimary: insistsOnPrimary, server: server)
    pool.advance(within: .seconds(30)) { $0.isReady }
    pool.advance(by: .milliseconds(100))
    pool.clearLog()
    return pool
  }

  private func cuts(_ pool: VirtualPool) -> [ConnectionID] {
    pool.log.compactMap { if case .cut(let id, _) = $0.effect { id } else { nil } }
  }

  @Test("is found because a statement is not answered, long before the next probe is due")
  func found() throws {
    let pool = ready()
    pool.server.hang()
    pool.send(.unanswered)
    #expect(pool.probes.map(\.at) == [pool.now])
    let took = try #require(pool.advance(within: .seconds(5)) { !$0.isReady })
    // The probe's connection, then its witness.
    #expect(took <= .seconds(2))
  }

  @Test("is not found where the probe is answered: nothing happens but that")
  func answered() {
    let pool = ready()
    for _ in 0..<10 {
      pool.send(.unanswered)
      pool.send(.unanswered)
      pool.advance(by: .milliseconds(500))
    }
    #expect(pool.probes.count == 10)
    #expect(pool.closes.isEmpty && pool.attempts.isEmpty && !pool.lostReadiness)
  }

  /// Every connection lent, the probe in doubt, and a place free: the state in which growing would be tempting.
  private func doubted(
    _ pool: VirtualPool, because event: Event = .unanswered, probe: VirtualServer.Query = .silent
  ) {
    let leases = [pool.acquire(), pool.acquire(), pool.acquire()]
    pool.advance(by: .milliseconds(50))
    pool.server.probe = probe
    pool.send(event)
    pool.clearLog()
    pool.release(leases[0], reusable: false)
    pool.acquire()
  }

  @Test("nobody logs in there while the probe's answer is in doubt")
  func growth() throws {
    let pool = ready(insistsOnPrimary: false)
    doubted(pool)
    pool.advance(by: .milliseconds(900))
    #expect(pool.logins.isEmpty)
    // Its witness may go anywhere.
    pool.server.probe = .answers
    pool.advance(by: .milliseconds(150))
    #expect(pool.logins.first == .anywhere)
    #expect(pool.isReady)
  }

  @Test(
    "a primary elsewhere is found while the probe's answer is late, before anybody has to say \"not ready\"")
  func lookout() throws {
    let pool = ready()
    let began = pool.now
    doubted(pool)
    pool.server.host = HostID(1)
    pool.server.probe = .answers
    pool.advance(by: .milliseconds(249))
    #expect(pool.logins.isEmpty)
    pool.advance(by: .milliseconds(20))
    #expect(pool.logins.first == .elsewhere(than: HostID(0)))
    #expect(pool.sessions[try #require(pool.reserved)] == HostID(1))
    #expect(cuts(pool).count == 2)
    #expect(pool.now - began < .milliseconds(400))
    #expect(!pool.lostReadiness)
  }

  @Test("the end of a session puts the probe in doubt as well")
  func ended() throws {
    let pool = ready()
    doubted(pool, because: .ended(ConnectionID(2), .closed))
    pool.server.host = HostID(1)
    pool.advance(by: .milliseconds(255))
    #expect(pool.logins == [.elsewhere(than: HostID(0))])
    #expect(pool.sessions[try #require(pool.reserved)] == HostID(1))
  }

  @Test(
    "an answer that is not the one wanted is one: the doubt is over, and connections are opened there again")
  func otherAnswer() throws {
    let pool = ready()
    doubted(pool, probe: .fails(.server("57014", at: .probe)))
    pool.advance(by: .milliseconds(20))
    #expect(pool.logins.first == .only(HostID(0)))
  }

  @Test("where no other host is the primary, it is looked for once, and that is no fault of logins")
  func notElsewhere() throws {
    let pool = ready()
    doubted(pool)
    pool.advance(by: .milliseconds(900))
    #expect(pool.logins == [.elsewhere(than: HostID(0))])
    #expect(!pool.isDegraded && !pool.snapshot.login.isFailing)
    // Its witness is the next one, as if nobody had looked.
    pool.server.probe = .answers
    pool.advance(by: .milliseconds(150))
    #expect(pool.logins.dropFirst().first == .anywhere)
    #expect(pool.isReady)
  }

  @Test("when the probe is answered after all, nobody looks for the primary elsewhere any more")
  func falseAlarm() throws {
    let pool = ready()
    doubted(pool)
    pool.server.loginLatency = .milliseconds(400)
    pool.advance(by: .milliseconds(300))
    let lookout = try #require(pool.connecting.first)
    pool.send(.probeAnswered(try #require(pool.reserved)))
    #expect(pool.times { if case .abandonLogin(lookout) = $0 { true } else { false } }.count == 1)
    pool.advance(by: .seconds(1))
    #expect(pool.closes.map(\.reason) == [.broken])
    #expect(pool.isReady && !pool.isDegraded && cuts(pool).isEmpty)
  }

  /// Two leases at a host that falls silent, and the probe is answered at another one.
  private func moved(
    _ pool: VirtualPool, to host: HostID = HostID(1), _ change: (inout VirtualServer) -> Void = { _ in }
  ) throws -> [LeaseID] {
    let leases = [pool.acquire(), pool.acquire()]
    pool.advance(by: .milliseconds(50))
    let held = leases.compactMap { pool.connection(of: $0) }
    try #require(held.count == 2)
    pool.clearLog()
    pool.server.hang()
    pool.send(.unanswered)
    pool.advance(within: .seconds(5)) { !$0.closes.isEmpty }
    pool.server.heal()
    for id in held { pool.server.queries[id] = .silent }
    pool.server.host = host
    change(&pool.server)
    pool.advance(within: .seconds(10)) { $0.reserved != nil && $0.snapshot.probe.failuresInRow == 0 }
    return leases
  }

  @Test("its leases are cut off as soon as another host is the primary, and their places are free again")
  func cut() throws {
    let pool = ready()
    let leases = try moved(pool)
    #expect(cuts(pool).count == 2)
    #expect(pool.snapshot.faults.contains { $0.fault.message.contains("another one has taken its place") })
    // They keep their places until they find out.
    for lease in leases { #expect(pool.connection(of: lease) != nil) }
    for lease in leases { pool.release(lease, reusable: false) }
    pool.advance(by: .seconds(1))
    #expect(pool.isReady && !pool.isDegraded)
    #expect(Set(pool.sessions.values) == [HostID(1)])
  }

  @Test("its leases are cut off when its address leads to another primary by now")
  func sameAddress() throws {
    let pool = ready()
    let leases = try moved(pool, to: HostID(0)) { $0.start = 5 }
    #expect(cuts(pool).count == leases.count)
  }

  @Test("leases at a server that has not fallen silent stay, though it is not the one that answers the probe")
  func balanced() throws {
    // One address, several servers, as behind a load balancer: only what is lent at the silent one would hang.
    let pool = ready()
    let atSilent = pool.acquire()
    pool.server.start = 2
    let atAnother = pool.acquire()
    pool.advance(by: .milliseconds(50))
    let cut = try #require(pool.connection(of: atSilent))
    try #require(pool.connection(of: atAnother) != nil)
    pool.server.start = 3
    pool.server.queries[try #require(pool.reserved)] = .silent
    pool.advance(by: .seconds(10))
    #expect(pool.isReady)
    #expect(cuts(pool) == [cut])
  }

  @Test("its leases stay if the other host leads to the same server: their statements may be running still")
  func sameServer() throws {
    let pool = ready()
    pool.server.start = 1
    pool.endAll(.closed)
    pool.advance(by: .seconds(2))
    let leases = try moved(pool)
    #expect(pool.sessions[try #require(pool.reserved)] == HostID(1))
    #expect(cuts(pool).isEmpty)
    for lease in leases { #expect(pool.connection(of: lease) != nil) }
  }

  @Test("its leases stay where every host will do, because it may only be slow")
  func anyHost() throws {
    let pool = ready(insistsOnPrimary: false)
    let leases = try moved(pool)
    #expect(cuts(pool).isEmpty)
    for lease in leases { #expect(pool.connection(of: lease) != nil) }
  }

  @Test("its leases stay when it answers again")
  func sameHost() throws {
    let pool = ready()
    let leases = try moved(pool, to: HostID(0))
    #expect(cuts(pool).isEmpty)
    for lease in leases { pool.release(lease) }
    // What was silent once is not held against it later.
    pool.server.queries = [:]
    pool.server.host = HostID(1)
    let lease = pool.acquire()
    for id in pool.sessions.keys.sorted() where id != pool.connection(of: lease) { pool.end(id, .closed) }
    pool.advance(by: .seconds(5))
    #expect(pool.sessions[try #require(pool.reserved)] == HostID(1))
    #expect(pool.connection(of: lease) != nil)
    #expect(cuts(pool).isEmpty)
  }
}
