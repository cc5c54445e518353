/// Leases that are held longer than `leakAfter`: reported once, and again when they come back. They are never closed:
/// what looks like a leak may be a long statement, and taking its connection away would only turn it into a failure.
extension PoolCore {
  /// A lease begins now; the first look at all of them follows when the oldest may be too old.
  mutating func watchForLeaks(at now: Instant) {
    if alarms.leak == nil { alarms.leak = now + settings.leakAfter }
  }

  mutating func reportLeaks(at now: Instant) {
    var next: Instant?
    for (id, member) in members.all {
      guard case .leased(let lease) = member.state, !leaks.contains(where: { $0.lease == lease }) else {
        continue
      }
      let due = member.since + settings.leakAfter
      guard due <= now else {
        next = next.map { min($0, due) } ?? due
        continue
      }
      leaks.append(HeldLease(lease: lease, connection: id, since: member.since))
      counters.leaks += 1
      effects.append(.leaked(lease, id, held: now - member.since))
    }
    alarms.leak = next
  }

  mutating func leaseEnded(_ lease: LeaseID, since granted: Instant, at now: Instant) {
    timings.leases.add(from: granted, to: now)
    guard !leaks.isEmpty, let index = leaks.firstIndex(where: { $0.lease == lease }) else { return }
    let leak = leaks.remove(at: index)
    effects.append(.leakReturned(lease, leak.connection, held: now - leak.since))
  }
}
