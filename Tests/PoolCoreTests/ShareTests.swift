import Testing

@testable import PoolCore

@Suite("a share of the room") struct ShareTests {
  private func fleet(_ instances: Int, slots: Int, min: Int = 4, seed: Int) -> Fleet {
    Fleet(instances: instances, slots: slots, min: min, seed: UInt64(seed)) { $0.elasticMin = true }
  }

  @Test(
    "is what all settle for where not all can have their floor, and all are ready on it", arguments: 1...3)
  func shared(seed: Int) throws {
    let fleet = fleet(40, slots: 97, seed: seed)
    #expect(fleet.advance(within: .seconds(120)) { $0.ready == 40 } != nil)
    // Those that came first give back what is above their share.
    #expect(fleet.advance(within: .seconds(60)) { $0.pools.allSatisfy { $0.open == 2 } } != nil)
    fleet.advance(by: .seconds(60))
    #expect(fleet.ready == 40)
    #expect(fleet.pools.allSatisfy { $0.open == 2 && $0.isDegraded })
    let pool = try #require(fleet.pools.first)
    #expect(pool.reasons.map(\.text) == ["2/4 connections, a share of the room for 40 instances"])
    #expect(pool.reasons.map(\.name) == ["sharing"])
  }

  @Test("is one connection at least, as long as there are so many slots", arguments: 1...2)
  func one(seed: Int) {
    let fleet = fleet(40, slots: 41, seed: seed)
    #expect(fleet.advance(within: .seconds(600)) { $0.ready == 40 } != nil)
    fleet.advance(by: .seconds(60))
    #expect(fleet.ready == 40)
  }

  @Test("becomes smaller when others come, and grows to the floor when they are gone", arguments: 1...3)
  func changes(seed: Int) {
    let fleet = fleet(20, slots: 97, seed: seed)
    #expect(fleet.advance(within: .seconds(60)) { $0.pools.allSatisfy { $0.open == 4 && $0.isReady } } != nil)
    #expect(fleet.pools.allSatisfy { !$0.isDegraded })
    fleet.join(20, seed: UInt64(seed))
    #expect(fleet.advance(within: .seconds(180)) { $0.ready == 40 } != nil)
    #expect(fleet.advance(within: .seconds(60)) { $0.pools.allSatisfy { $0.open == 2 } } != nil)
    fleet.end(fleet.pools.suffix(20))
    let grown = fleet.advance(within: .seconds(60)) { $0.pools.allSatisfy { $0.open == 4 && !$0.isDegraded } }
    #expect(grown != nil)
  }

  @Test("is no matter where all fit: nobody is degraded, nothing is given back", arguments: 1...2)
  func enough(seed: Int) {
    let fleet = fleet(40, slots: 197, seed: seed)
    #expect(fleet.advance(within: .seconds(30)) { $0.ready == 40 } != nil)
    fleet.advance(by: .seconds(120))
    #expect(fleet.pools.allSatisfy { $0.open == 4 && !$0.isDegraded })
    #expect(fleet.pools.allSatisfy { pool in !pool.closes.contains { $0.reason == .noSlots } })
  }

  @Test("of a fleet that has grown a thousandfold is still read no more than twenty times a second in all")
  func readings() {
    var settings = PoolSettings()
    settings.elasticMin = true
    var server = VirtualServer()
    server.slots = 10_000
    server.peers = (1999, 3998)
    server.foreign = 3998
    let pool = VirtualPool(settings, server: server)
    pool.advance(by: .seconds(5))
    let readings = pool.roomReadings
    pool.advance(by: .seconds(1000))
    #expect((7...20).contains(pool.roomReadings - readings))
  }

  @Test("cannot be known where the server does not tell its room: then it is the whole floor")
  func hidden() {
    let pool = VirtualPool {
      $0.elasticMin = true
      $0.minConnections = 4
    }
    pool.advance(by: .seconds(5))
    #expect(pool.isReady && pool.open == 4)
    pool.advance(by: .seconds(120))
    #expect(pool.isReady && !pool.isDegraded)
  }
}
