import PoolCore
import Testing

@testable import PoolCore

@Suite("the server's room") struct RoomTests {
  /// A server with so many slots, of which others have some.
  private func pool(
    slots: Int, foreign: Int = 0, min: Int = 4, max: Int = 10, seed: UInt64 = 1
  ) -> VirtualPool {
    var server = VirtualServer()
    server.slots = slots
    server.foreign = foreign
    var settings = PoolSettings()
    settings.minConnections = min
    settings.maxConnections = max
    return VirtualPool(settings, seed: seed, server: server)
  }

  @Test("with room enough it is read once, beside the first logins, and costs no time")
  func enough() {
    let pool = pool(slots: 100)
    var plain = PoolSettings()
    plain.minConnections = 4
    let other = VirtualPool(plain)
    #expect(
      pool.advance(within: .seconds(5)) { $0.isReady } == other.advance(within: .seconds(5)) { $0.isReady })
    pool.advance(by: .seconds(60))
    #expect(pool.roomReadings == 1)
    #expect(pool.snapshot.room.reading?.maxConnections == 100)
    #expect(pool.snapshot.room.needed == nil)
  }

  @Test("where one login is all that is missing, it is read when the pool is ready, and nothing waits for it")
  func onlyForTheStatus() {
    let pool = pool(slots: 2, min: 2, max: 2)
    pool.advance(within: .seconds(5)) { $0.isReady }
    #expect(pool.roomReadings == 1)
    pool.advance(by: .seconds(60))
    #expect(pool.snapshot.room.reading?.free == 1)
    #expect(pool.snapshot.room.needed == nil && !pool.isDegraded)
    #expect(pool.roomReadings == 1)
    let full = self.pool(slots: 2, foreign: 1, min: 2, max: 2)
    full.advance(by: .seconds(60))
    #expect(full.reasons.first?.name == "no_slots")
    #expect(full.snapshot.counters.loginsFailed == 1)
  }

  @Test("without room for the whole floor nothing is kept but the probe's connection, and nobody knocks")
  func noHoldAndWait() {
    for seed in 1...50 {
      let pool = pool(slots: 100, foreign: 97, seed: UInt64(seed))
      pool.advance(by: .seconds(1))
      pool.clearLog()
      pool.advance(by: .seconds(3))
      #expect(pool.open == 1)
      #expect(pool.reserved != nil)
      pool.advance(by: .seconds(300))
      #expect(pool.attempts.isEmpty)
      #expect(pool.phase == .warming)
      guard case .noSlots(let room, let needed)? = pool.reasons.first else {
        Issue.record("\(pool.reasons)")
        return
      }
      #expect((room.used, needed) == (97, 3))
      #expect(pool.reasons[0].text == "no slots: at least 98 of 100 used, 3 more needed")
      #expect(pool.reasons.count == 1)
      #expect(pool.snapshot.room.nextLook != nil)
    }
  }

  @Test("it is not knocked at a full server more than once before the next reading", arguments: 1...50)
  func refused(seed: Int) {
    // The reading says there is room; those who authenticate are not seen.
    let pool = pool(slots: 100, min: 8, seed: UInt64(seed))
    pool.server.unseen = 99
    pool.advance(by: .seconds(120))
    #expect(pool.open == 1)
    let failures = pool.snapshot.counters.loginsFailed
    #expect(failures >= 2)
    // The first reading is believed for two at a time.
    #expect(failures <= pool.roomReadings + 1)
    pool.server.unseen = 0
    #expect(pool.advance(within: .seconds(60)) { $0.isReady } != nil)
  }

  @Test("while the first reading is under way one login is, and where it shows too little, that was all")
  func firstReading() {
    let pool = pool(slots: 100, foreign: 99, min: 8)
    pool.advance(within: .seconds(1)) { $0.snapshot.room.reading != nil }
    #expect(pool.attempts.count == 2)
    pool.advance(by: .milliseconds(20))
    #expect(pool.snapshot.counters.loginsFailed == 1)
    #expect(pool.attempts.count == 2)
  }

  @Test("once there is room it warms, within the time between two looks", arguments: 1...50)
  func roomReturns(seed: Int) {
    let pool = pool(slots: 100, foreign: 99, seed: UInt64(seed))
    pool.advance(by: .seconds(20))
    #expect(!pool.isReady)
    pool.server.foreign = 96
    #expect(pool.advance(within: .seconds(31)) { $0.isReady } != nil)
    #expect(pool.snapshot.room.needed == nil)
    #expect(pool.times { if case .noSlots = $0 { true } else { false } }.count == 1)
    #expect(pool.times { if case .slotsFree = $0 { true } else { false } }.count == 1)
  }

  @Test("where it cannot be read, refusals alone set the pace, as they did")
  func unreadable() {
    let pool = VirtualPool { $0.minConnections = 8 }
    pool.advance(within: .seconds(1)) { $0.open == 3 }
    pool.server.refuse(.full)
    pool.advance(by: .seconds(60))
    let failed = pool.snapshot.counters.loginsFailed
    #expect((3...20).contains(failed))
    pool.server.heal()
    #expect(pool.advance(within: .seconds(61)) { $0.isReady } != nil)
  }

  @Test("an instance that is ready keeps what it has, says what is missing, and grows when it can")
  func ready() {
    let pool = pool(slots: 20)
    pool.advance(within: .seconds(5)) { $0.isReady }
    pool.server.foreign = 16
    let leases = (0..<6).map { _ in pool.acquire(for: .seconds(600)) }
    pool.advance(by: .seconds(30))
    #expect(pool.open == 4)
    #expect(pool.isReady && pool.isDegraded)
    #expect(pool.reasons.first?.text == "no slots: at least 20 of 20 used, 1 more needed")
    pool.server.foreign = 0
    #expect(
      pool.advance(within: .seconds(61)) { pool in leases.allSatisfy { pool.connection(of: $0) != nil } }
        != nil)
    #expect(!pool.isDegraded)
  }

  @Test("where connections like it alone may fill the server, it leaves now and then, and comes back")
  func leaves() {
    let pool = pool(slots: 100, foreign: 99)
    pool.advance(by: .seconds(4))
    #expect(pool.open == 1)
    #expect(pool.advance(within: .seconds(17)) { $0.open == 0 } != nil)
    #expect(pool.closes.last?.reason == .noSlots)
    #expect(pool.reasons.first?.name == "no_slots")
    pool.clearLog()
    #expect(pool.advance(within: .seconds(11)) { $0.open == 1 } != nil)
    // It comes back to look, not to knock.
    pool.advance(by: .seconds(4))
    #expect(pool.attempts.count == 1)
    pool.server.foreign = 0
    #expect(pool.advance(within: .seconds(90)) { $0.isReady } != nil)
  }

  @Test(
    "one of a fleet leaves also where some slots are free and too few for a floor, one that is alone does not"
  )
  func leavesOthers() {
    for (peers, leaves) in [(4, true), (0, false)] {
      let pool = pool(slots: 100, foreign: 97)
      pool.server.peers = (peers, peers)
      pool.advance(by: .seconds(4))
      #expect(pool.open == 1)
      #expect((pool.advance(within: .seconds(17)) { $0.open == 0 } != nil) == leaves)
    }
  }

  @Test("a few look sooner whether there is room again than many", arguments: 1...5)
  func looks(seed: Int) {
    func readings(of instances: Int) -> Int {
      let pool = pool(slots: 100_000, foreign: 99_990, min: 20, max: 20, seed: UInt64(seed))
      pool.server.peers = (instances - 1, 0)
      pool.advance(by: .seconds(60))
      return pool.roomReadings
    }
    #expect((12...40).contains(readings(of: 40)))
    #expect(readings(of: 2000) <= 20)
  }

  @Test("an answer that is older than a refusal frees nothing")
  func olderAnswer() {
    let pool = pool(slots: 100, min: 8)
    pool.server.queryLatency = .milliseconds(50)
    pool.advance(within: .seconds(1)) { $0.open == 1 }
    pool.server.unseen = 99
    // The login is refused after 2 ms, and the room, which does not show why, is read after 50.
    pool.advance(within: .seconds(1)) { $0.snapshot.room.reading != nil }
    #expect(pool.snapshot.counters.loginsFailed == 1)
    #expect(pool.core.headroom.hold != nil)
    #expect(pool.attempts.count == 2)
  }

  @Test("a connection that is lost while it is asked leaves the question to the next one")
  func lostMeanwhile() {
    let pool = pool(slots: 100, foreign: 98)
    pool.advance(within: .seconds(5)) { $0.roomReadings == 1 }
    if let id = pool.reserved { pool.end(id, .closed) }
    pool.advance(by: .seconds(60))
    #expect(pool.reasons.first?.name == "no_slots")
    pool.server.foreign = 0
    #expect(pool.advance(within: .seconds(60)) { $0.isReady } != nil)
  }

  @Test("where the probe moves on at once, the next one is asked instead")
  func movedMeanwhile() {
    let pool = pool(slots: 4)
    pool.advance(within: .seconds(5)) { $0.isReady }
    pool.server.queryLatency = .milliseconds(50)
    let leases = (0..<4).map { _ in pool.acquire(for: .seconds(600)) }
    pool.release(leases[0])
    let readings = pool.roomReadings
    #expect(pool.advance(within: .seconds(10)) { $0.roomReadings == readings + 1 } != nil)
    pool.release(leases[1])
    if let id = pool.reserved { pool.end(id, .server("57P05", at: .idle)) }
    #expect(pool.advance(within: .seconds(10)) { $0.roomReadings >= readings + 2 } != nil)
  }

  @Test("the narrowest limit is the one that is told")
  func narrowest() {
    var room = ServerRoom(maxConnections: 100, reserved: 3, used: 50)
    #expect(room.shortage == "at least 51 of 97 used")
    room.role = .init(limit: 5, used: 4)
    #expect(room.shortage == "at least 5 of 5 used by this role")
    room.database = .init(limit: 7, used: 7)
    #expect(room.shortage == "at least 8 of 7 used in this database")
    #expect(room.free == 0)
  }

  @Test("of forty instances with room for nineteen not all sit on half a pool", arguments: 1...5)
  func fleet(seed: Int) {
    let fleet = Fleet(instances: 40, slots: 97, min: 4, seed: UInt64(seed))
    fleet.advance(by: .seconds(600))
    #expect(fleet.ready >= 18)
    #expect(fleet.sessions <= 97)
    // Half of those that are ready go: their slots are taken by others.
    fleet.end(fleet.readyPools.prefix(8))
    fleet.advance(by: .seconds(600))
    #expect(fleet.ready >= 18)
  }
}
