import Testing

@testable import PoolCore

@Suite("tickets") struct TicketTests {
  private func pool(tickets: VirtualTickets?, min: Int = 4, seed: UInt64 = 1) -> VirtualPool {
    let pool = VirtualPool(seed: seed) {
      $0.fleetTickets = 2
      $0.minConnections = min
    }
    pool.tickets = tickets
    return pool
  }

  private func isNoTicket(_ effect: Effect) -> Bool { if case .noTicket = effect { true } else { false } }

  @Test("one is taken for what a start needs besides its scout, and given back when it is warm")
  func takenAndReturned() {
    let tickets = VirtualTickets(2)
    let pool = pool(tickets: tickets)
    pool.advance(within: .seconds(1)) { $0.ticket != nil }
    #expect(tickets.free == 1 && pool.open == 1)
    #expect(pool.advance(within: .seconds(1)) { $0.isReady } != nil)
    #expect(tickets.free == 2)
    #expect(pool.snapshot.ticket.state == .notNeeded)
    // What follows needs none.
    pool.endAll(.closed)
    #expect(pool.advance(within: .seconds(20)) { $0.open == 4 } != nil)
    #expect(pool.times { if case .askTicket = $0 { true } else { false } }.count == 1)
  }

  @Test("a floor of one connection needs none")
  func one() {
    let pool = pool(tickets: VirtualTickets(0), min: 1)
    #expect(pool.advance(within: .seconds(1)) { $0.isReady } != nil)
  }

  @Test("while none is free nothing is opened but the scout, and that is what is said")
  func waits() {
    let tickets = VirtualTickets(0)
    let pool = pool(tickets: tickets)
    pool.advance(by: .seconds(30))
    #expect(pool.attempts.count == 1)
    #expect(pool.reasons.map(\.text) == ["warming 1/4, waiting for one of 2 tickets"])
    #expect(pool.snapshot.ticket.state == .waiting)
    // No more often than every second on average, in the long run.
    #expect((15...80).contains(pool.times { if case .askTicket = $0 { true } else { false } }.count))
    tickets.free = 1
    #expect(pool.advance(within: .seconds(3)) { $0.isReady } != nil)
  }

  @Test("nobody waits longer than a minute: then it warms without, counts it, and says so", arguments: 1...20)
  func waivesAfterAMinute(seed: UInt64) throws {
    let pool = pool(tickets: VirtualTickets(0), seed: seed)
    let took = try #require(pool.advance(within: .seconds(61)) { $0.isReady })
    #expect(took > .seconds(45))
    #expect(pool.snapshot.counters.warmedWithoutTicket == 1)
    #expect(pool.times(isNoTicket).count == 1)
  }

  @Test("all that began together do not stop waiting together")
  func waivesAreSpread() {
    let ends = (1...50 as ClosedRange<UInt64>).map { seed -> Instant in
      let pool = pool(tickets: VirtualTickets(0), seed: seed)
      pool.advance(within: .seconds(61)) { $0.isReady }
      return pool.now
    }
    let first = ends.min() ?? .origin
    #expect((ends.max() ?? .origin) - first > .seconds(10))
    #expect(ends.count { $0 - first < .seconds(3) } < 25)
  }

  @Test("where there can be none it warms at once without, and says why")
  func unavailable() {
    let pool = pool(tickets: nil)
    #expect(pool.advance(within: .seconds(1)) { $0.isReady } != nil)
    #expect(pool.times(isNoTicket).count == 1)
    #expect(pool.snapshot.counters.warmedWithoutTicket == 1)
  }

  @Test("one that is slow to warm gives it back after ten seconds, and asks again")
  func tooSlow() {
    let tickets = VirtualTickets(1)
    let pool = pool(tickets: tickets)
    pool.advance(within: .seconds(1)) { $0.open == 1 }
    pool.server.login = .silent
    pool.advance(within: .seconds(1)) { $0.ticket != nil }
    #expect(pool.advance(within: .milliseconds(10_010)) { $0.ticket == nil } != nil)
    pool.server.heal()
    #expect(pool.advance(within: .seconds(20)) { $0.isReady } != nil)
    #expect(tickets.free == 1)
  }

  @Test("with the connection it goes too, and the next scout asks anew")
  func lostWithItsConnection() throws {
    let tickets = VirtualTickets(1)
    let pool = pool(tickets: tickets)
    pool.server.loginLatency = .milliseconds(100)
    pool.advance(within: .seconds(1)) { $0.ticket != nil }
    pool.end(try #require(pool.ticket), .closed)
    #expect(tickets.free == 1 || pool.ticket != nil)
    #expect(pool.advance(within: .seconds(20)) { $0.isReady } != nil)
    #expect(tickets.free == 1)
  }

  @Test("whoever has one and finds too little room gives it back, and does not knock")
  func noRoom() {
    let tickets = VirtualTickets(1)
    var server = VirtualServer()
    server.slots = 10
    server.foreign = 8
    var settings = PoolSettings()
    settings.minConnections = 4
    settings.fleetTickets = 1
    let pool = VirtualPool(settings, begun: false, server: server)
    pool.tickets = tickets
    pool.send(.begin)
    pool.advance(by: .seconds(10))
    #expect(tickets.free == 1)
    #expect(pool.attempts.count == 1)
    #expect(pool.snapshot.counters.loginsFailed == 0)
    #expect(pool.reasons.first?.name == "no_slots")
    pool.server.foreign = 0
    #expect(pool.advance(within: .seconds(60)) { $0.isReady } != nil)
  }

  @Test("a caller that waits is served without one")
  func servingPath() {
    let pool = pool(tickets: VirtualTickets(0))
    pool.advance(within: .seconds(1)) { $0.open == 1 }
    let lease = pool.acquire()
    pool.advance(by: .milliseconds(100))
    #expect(pool.connection(of: lease) != nil)
  }

  @Test(
    "kept for the application, it is given back when that has its sessions, after a minute, or where nobody knows"
  )
  func forTheApplication() throws {
    func started(_ sessions: Int?) -> (VirtualPool, VirtualTickets) {
      let tickets = VirtualTickets(1)
      var settings = PoolSettings()
      (settings.fleetTickets, settings.holdForApp, settings.minConnections) = (1, 5, 3)
      let pool = VirtualPool(settings, begun: false)
      pool.server.appSessions = sessions
      pool.tickets = tickets
      pool.send(.begin)
      // The application starts when the pool is ready.
      #expect(pool.advance(within: .seconds(1)) { $0.isReady } != nil)
      return (pool, tickets)
    }
    let (pool, tickets) = started(0)
    pool.advance(by: .seconds(20))
    #expect(tickets.free == 0)
    pool.server.appSessions = 4
    pool.advance(by: .seconds(2))
    #expect(tickets.free == 0)
    guard case .heldForApp(4, _) = pool.snapshot.ticket.state else {
      Issue.record("\(pool.snapshot.ticket)")
      return
    }
    pool.server.appSessions = 5
    #expect(pool.advance(within: .seconds(2)) { _ in tickets.free == 1 } != nil)
    #expect(pool.snapshot.ticket.state == .notNeeded)

    let (slow, kept) = started(0)
    pool.clearLog()
    let took = try #require(slow.advance(within: .seconds(61)) { _ in kept.free == 1 })
    #expect(took > .seconds(59))
    // About once a second it was counted, and no more after that.
    #expect((50...62).contains(slow.times { if case .countApp = $0 { true } else { false } }.count))
    slow.advance(by: .seconds(60))
    #expect(slow.times { if case .countApp = $0 { true } else { false } }.count <= 62)

    let (blind, unknown) = started(nil)
    #expect(blind.advance(within: .seconds(1)) { _ in unknown.free == 1 } != nil)
  }

  @Test("slots for the application are needed as well, before it is ready")
  func roomForTheApplication() {
    var settings = PoolSettings()
    (settings.fleetTickets, settings.holdForApp, settings.minConnections) = (1, 5, 3)
    var server = VirtualServer()
    server.slots = 20
    server.foreign = 13
    let pool = VirtualPool(settings, begun: false, server: server)
    pool.tickets = VirtualTickets(1)
    pool.send(.begin)
    pool.advance(by: .seconds(5))
    #expect(pool.reasons.first?.text == "no slots: at least 14 of 20 used, 7 more needed")
    pool.server.foreign = 12
    #expect(pool.advance(within: .seconds(60)) { $0.isReady } != nil)
  }

  @Test("a drain gives it back, and a resume takes another one")
  func drain() {
    let tickets = VirtualTickets(1)
    let pool = pool(tickets: tickets)
    pool.server.loginLatency = .milliseconds(100)
    pool.advance(within: .seconds(1)) { $0.ticket != nil }
    pool.drain()
    #expect(tickets.free == 1)
    #expect(pool.advance(within: .seconds(26)) { $0.phase == .drained } != nil)
    pool.send(.resume)
    pool.advance(within: .seconds(1)) { $0.ticket != nil }
    #expect(tickets.free == 0)
    #expect(pool.advance(within: .seconds(5)) { $0.isReady } != nil)
    #expect(tickets.free == 1)
  }

  @Test(
    "forty that start together are warm soon, no more than two of them at a time, and none is refused",
    arguments: 1...5)
  func fleet(seed: UInt64) {
    let fleet = Fleet(instances: 40, slots: 197, min: 4, seed: seed) { $0.fleetTickets = 2 }
    #expect(fleet.advance(within: .seconds(20)) { $0.ready == 40 } != nil)
    #expect(fleet.pools.allSatisfy { $0.snapshot.counters.loginsFailed == 0 })
    #expect(fleet.pools.first?.tickets?.free == 2)
  }

  @Test("of forty that do not fit as many are ready as there is room for", arguments: 1...2)
  func tooMany(seed: UInt64) {
    let fleet = Fleet(instances: 40, slots: 97, min: 4, seed: seed) { $0.fleetTickets = 1 }
    fleet.advance(by: .seconds(300))
    #expect(fleet.ready >= 18)
    #expect(fleet.pools.first?.tickets?.free == 1)
  }
}
