/// Connections grow old. They are replaced one at a time, each at its own moment, the new one opened before the old
/// one is closed where the ceiling allows it. While logins fail, or the probe is in doubt, nothing that works is
/// closed for its age.
extension PoolCore {
  /// A connection that has outlived `maxLifetime`, and the login that is to take its place.
  struct Ageing: Sendable {
    var old: ConnectionID
    var new: ConnectionID?
  }

  /// Sees to it that upkeep looks no later than this. Looking too early does no harm, so nothing needs to be taken
  /// back when a connection is closed or used.
  mutating func wakeForUpkeep(by time: Instant) {
    alarms.upkeep = alarms.upkeep.map { min($0, time) } ?? time
  }

  mutating func upkeep(at now: Instant) {
    guard isServing else { return }
    for id in members.idle where members[id].map({ $0.keepAlive <= now }) == true {
      verify(id, isSuspect: false, at: now)
    }
    let isSafe = !logins.isFailing && probe.isProven && probe.report.failuresInRow == 0
    if isSafe {
      pruneOne(at: now)
      if ageing == nil { ageing = oldestOutlived(at: now).map { Ageing(old: $0) } }
      advanceAgeing(at: now)
    }
    scheduleUpkeep(at: now)
  }

  private func oldestOutlived(at now: Instant) -> ConnectionID? {
    members.all
      .filter { $0.value.expires <= now && !members.isRetired($0.value) }
      .min { ($0.value.expires, $0.key) < ($1.value.expires, $1.key) }?.key
  }

  /// Takes the replacement under way as far as it goes now. Called whenever something it may wait for has happened:
  /// the new connection is open, the old one came back, the probe was answered.
  mutating func advanceAgeing(at now: Instant) {
    guard let ageing, let old = members[ageing.old] else { return }
    let hasSuccessor = ageing.new.flatMap { members[$0]?.isOpen } ?? false
    let hasRoom = members.count < settings.maxConnections
    guard hasSuccessor || (ageing.new == nil && !hasRoom) else { return }
    switch old.state {
    case .reserved:
      // The probe moves to another connection first; the old one is closed once that one has answered.
      guard probe.asked == nil, let successor = freshIdle else { return }
      members.move(ageing.old, to: .idle, at: now)
      reserve(successor, at: now)
    case .idle where probe.asked == nil:
      close(ageing.old, .maxLifetime)
      wakeForUpkeep(by: now + .milliseconds(100))
    case .idle, .leased, .verifying, .connecting: return
    }
  }

  /// Above the floor, closes the connection that has been idle longest.
  private mutating func pruneOne(at now: Instant) {
    guard members.current > settings.minConnections, let longest = members.idle.first,
      let member = members[longest], member.idleUntil <= now
    else { return }
    close(longest, .idleTimeout)
  }

  /// At the earliest thing that falls due. What is overdue waits for something else (a lease, a login that works):
  /// it is looked at again in a second.
  private mutating func scheduleUpkeep(at now: Instant) {
    var next = Instant.distantFuture
    for member in members.all.values where member.isOpen {
      next = min(next, member.expires)
      if member.state == .idle {
        next = min(next, member.keepAlive)
        if members.current > settings.minConnections { next = min(next, member.idleUntil) }
      }
    }
    alarms.upkeep = members.open == 0 ? nil : max(next, now + .seconds(1))
  }
}
