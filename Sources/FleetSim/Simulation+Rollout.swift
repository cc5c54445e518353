import PoolCore

/// A rollout: new instances with a surge, and an old one ends for each that is ready.
struct Rollout {
  /// Old ones that still run, the next to end at the end.
  var old: [Int32]
  /// New ones that are still to be started.
  var toStart: Int
  /// New ones begin with this place in the fleet.
  var firstNew: Int32
}

extension Simulation {
  mutating func beginRollout(atOnce: Int) {
    let old = seats.indices.filter { seats[$0].stage == .running }.map { Int32($0) }
    guard rollout == nil, !old.isEmpty else { return }
    rollout = Rollout(old: old.reversed(), toStart: old.count, firstNew: Int32(seats.count))
    tally.rolloutBegins()
    for _ in 0..<min(atOnce, old.count) { startNext() }
  }

  private mutating func startNext() {
    guard let left = rollout?.toStart, left > 0 else { return }
    rollout?.toStart -= 1
    start()
  }

  /// One more instance. Where it shares the server's machine, it takes its time to start.
  mutating func start() {
    let seat = addSeat()
    guard setup.model.startCost > .zero else { return tell(seat, .begin) }
    server.start(seat: seat)
    giveWork()
  }

  /// An instance has become ready for the first time; if it is a new one, an old one may end.
  mutating func advanceRollout(_ seat: Int32) {
    guard let current = rollout, seat >= current.firstNew else { return }
    if let old = rollout?.old.popLast() { stop(old) }
    if rollout?.old.isEmpty == true { rollout = nil } else { startNext() }
    tally.isRolling = rollout != nil
  }

  private mutating func stop(_ seat: Int32) {
    let place = Int(seat)
    guard seats[place].stage == .running else { return }
    tally.left(open: seats[place].open, ready: seats[place].isReady)
    seats[place].isReady = false
    seats[place].stage = .stopping
    tell(seat, .terminate(deadline: now + .seconds(25)))
  }

  /// It has ended in order.
  mutating func gone(_ seat: Int32) { seats[Int(seat)].stage = .gone }
}
