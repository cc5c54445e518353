import PoolCore

/// What must hold whatever happens. That no instance is above its maximum, and none knocks while it says that there are
/// no slots, is looked after at each login; the rest here, at the end.
extension Simulation {
  mutating func checkLaws() {
    let known = seats.reduce(0) { $0 + $1.links.count { $0.state == .open } + $1.unclosed }
    if known != server.sessions {
      tally.broken("the server has \(server.sessions) sessions, instances know of \(known)")
    }
    if strategy == .warmgate { checkLiveness() }
  }

  /// With room for everybody and time enough, nobody stays unready for ever.
  private mutating func checkLiveness() {
    guard server.condition == .up, setup.model.capacity - server.foreign >= tally.live * setup.connections
    else { return }
    if tally.ready < tally.live { tally.broken("\(tally.live - tally.ready) instances stay unready") }
    if rollout != nil { tally.broken("the rollout does not end") }
  }
}
