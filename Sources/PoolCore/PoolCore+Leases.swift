/// Callers: first come, first served, handed over directly. A connection that comes free goes to the caller that has
/// waited longest; nobody can take it in between.
extension PoolCore {
  mutating func acquire(_ lease: LeaseID, deadline: Instant, at now: Instant) {
    guard lease > newestLease else { return impossible("\(lease) acquired twice") }
    newestLease = lease
    guard isServing else { return refuse(lease, .draining) }
    guard settings.maxConnections > 1 else { return refuse(lease, .noCapacity) }
    guard breaker.state == .closed else { return refuse(lease, circuitOpen(at: now)) }
    // Without time there is none to ask in: what is free is lent as it is.
    if queue.isEmpty, let id = members.idle.last, deadline <= now || isFresh(id, at: now) {
      return grant(id, to: lease, askedAt: now, at: now)
    }
    guard deadline > now else { return refuse(lease, .timedOut(waited: .zero)) }
    // Whoever has a connection that is only being asked, or is about to be, does not count as waiting.
    guard queue.count < settings.waitingLimit + members.checking + members.idle.count else {
      return refuse(lease, .queueFull(limit: settings.waitingLimit))
    }
    queue.add(lease, deadline: deadline, at: now)
  }

  mutating func release(
    _ lease: LeaseID, _ id: ConnectionID, reusable: Bool, _ fault: Fault?, at now: Instant
  ) {
    guard let member = members[id], member.state == .leased(lease) else {
      // Cut off by the deadline of a drain.
      return
    }
    leaseEnded(lease, since: member.since, at: now)
    if let fault, !member.isBroken { lost(id, fault, at: now) }
    let isBroken = member.isBroken
    if drain?.stage == .closing {
      drain?.finished += 1
      return close(id, .drain)
    }
    if let now = members[id], members.isRetired(now) { return close(id, .retired) }
    if !reusable || isBroken { return close(id, .broken) }
    // Too old, and its place is taken or needed: it is not handed on.
    if member.expires <= now, mayCloseOutlived { return closeOutlived(id, at: now) }
    if !handProbeOn(to: id, at: now) { makeIdle(id, at: now) }
  }

  mutating func exchange(
    _ lease: LeaseID, _ id: ConnectionID, _ fault: Fault, deadline: Instant, at now: Instant
  ) {
    counters.exchanges += 1
    guard let member = members[id], member.state == .leased(lease) else {
      // Cut off by the deadline of a drain.
      return refuse(lease, .draining)
    }
    if !member.isBroken {
      members.breaks(id)
      record(fault, during: .connection, at: now)
      lost(id, fault, at: now)
    }
    if drain?.stage == .closing { drain?.finished += 1 }
    leaseEnded(lease, since: member.since, at: now)
    close(id, .ended)
    guard isServing else { return refuse(lease, .draining) }
    guard deadline > now else { return refuse(lease, .timedOut(waited: .zero)) }
    queue.addAgain(lease, deadline: deadline, at: now)
    // What has just been idle beside a dead one is asked first. Whatever has answered, is released or opened first,
    // it is the caller's.
    for sibling in members.idle {
      members.update(sibling) { if $0.doubt == .none { $0.doubt = .unsure } }
    }
  }

  /// A connection has come free: for the probe if it has none, for the caller that has waited longest, or for later.
  mutating func makeIdle(_ id: ConnectionID, at now: Instant) {
    if probe.connection == nil { return reserve(id, at: now) }
    members.move(id, to: .idle, at: now)
    if let (lease, since) = queue.next() { grant(id, to: lease, askedAt: since, at: now) }
  }

  private mutating func grant(
    _ id: ConnectionID, to lease: LeaseID, askedAt since: Instant, at now: Instant
  ) {
    members.move(id, to: .leased(lease), at: now)
    lastLease = now
    watchForLeaks(at: now)
    counters.leases += 1
    timings.acquires.add(from: since, to: now)
    effects.append(.grant(lease, id))
  }

  mutating func refuse(_ lease: LeaseID, _ why: AcquireRefusal) {
    counters.acquireFailures[why.name, default: 0] += 1
    effects.append(.refuse(lease, why))
  }
}
