import PoolCore

/// What must hold whatever happens. Safety is looked after where it could be broken; liveness here, at the end.
extension Simulation {
  /// With room for everybody and time enough, nobody stays unready for ever.
  mutating func checkLiveness() {
    guard server.condition == .up, setup.model.capacity - server.foreign >= tally.live * setup.connections
    else { return }
    if tally.ready < tally.live { tally.broken("\(tally.live - tally.ready) instances stay unready") }
    if rollout != nil { tally.broken("the rollout does not end") }
  }
}
