import PoolCore

/// Pools that share the slots of one server.
final class Fleet {
  private(set) var pools: [VirtualPool]
  var slots: Int
  private var now = Instant.origin

  init(
    instances: Int, slots: Int, min: Int, seed: UInt64, _ change: (inout PoolSettings) -> Void = { _ in }
  ) {
    self.slots = slots
    var settings = PoolSettings()
    settings.minConnections = min
    change(&settings)
    var server = VirtualServer()
    server.slots = slots
    pools = (0..<instances).map {
      VirtualPool(settings, seed: seed &* 1000 &+ UInt64($0), begun: false, server: server)
    }
    if settings.fleetTickets > 0 {
      let tickets = VirtualTickets(settings.fleetTickets)
      for pool in pools { pool.tickets = tickets }
    }
    for pool in pools { pool.send(.begin) }
  }

  var sessions: Int { pools.reduce(0) { $0 + $1.open + $1.connecting.count } }
  var readyPools: [VirtualPool] { pools.filter(\.isReady) }
  var ready: Int { readyPools.count }

  /// Whoever has something to do next does it, and sees the server as it is then.
  func advance(by duration: Duration) {
    let end = now + duration
    while let next = pools.min(by: { ($0.nextMoment ?? .distantFuture) < ($1.nextMoment ?? .distantFuture) }),
      let moment = next.nextMoment, moment <= end
    {
      now = max(now, moment)
      next.server.slots = slots
      next.server.foreign = 0
      var peers = (instances: 0, sessions: 0)
      for pool in pools where pool !== next {
        let open = pool.open
        next.server.foreign += open + pool.connecting.count
        peers.sessions += open
        if open > 0 { peers.instances += 1 }
      }
      next.server.peers = peers
      next.step()
    }
    for pool in pools { pool.advance(to: end) }
    now = end
  }

  /// Until it holds, looking now and then; nil if it did not in time.
  func advance(within limit: Duration, until holds: (Fleet) -> Bool) -> Duration? {
    let start = now
    while !holds(self) {
      guard now - start < limit else { return nil }
      advance(by: .milliseconds(100))
    }
    return now - start
  }

  /// Others come.
  func join(_ instances: Int, seed: UInt64) {
    guard let settings = pools.first?.settings else { return }
    for number in 0..<instances {
      let pool = VirtualPool(settings, seed: seed &* 7919 &+ UInt64(number), begun: false)
      pool.server.slots = slots
      pool.tickets = pools.first?.tickets
      pool.advance(to: now)
      pools.append(pool)
      pool.send(.begin)
    }
  }

  /// Processes that end, with their sessions.
  func end(_ gone: ArraySlice<VirtualPool>) {
    for pool in gone { pool.endAll(.closed) }
    pools.removeAll { pool in gone.contains { $0 === pool } }
  }
}
