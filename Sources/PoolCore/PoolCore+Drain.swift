/// Ending cleanly, in two phases. *Lame duck*: `/ready` says no from the first moment, everything else works as
/// usual, because traffic is still arriving. *Closing*: nothing new is served, leases in use may finish. A drain
/// never ends the process, and can be taken back.
extension PoolCore {
  /// Closing begins at the latest this long before the deadline, so that leases have time to finish.
  static let closingTime: Duration = .seconds(5)
  /// The lame duck phase goes on until no lease has been taken for this long.
  static let quietTime: Duration = .seconds(1)
  /// A termination skips the delay when no lease was taken for this long: nobody sends traffic here.
  static let unusedTime: Duration = .seconds(5)
  /// Logins and questions under way when closing begins may finish, so that these sessions too end in an orderly way.
  static let closingGrace: Duration = .milliseconds(500)

  mutating func beginDrain(deadline: Instant, delay: Duration, at now: Instant) {
    switch phase {
    case .drained:
      if let drain { effects.append(.drained(drain)) }
    case .draining:
      guard let current = drain else { return }
      drain?.deadline = min(current.deadline, max(deadline, now))
      advanceDrain(at: now)
    case .starting, .warming, .ready, .unready:
      drain = DrainProgress(stage: .lameDuck, began: now, deadline: max(deadline, now))
      drainDelay = delay
      enter(.draining, at: now)
      advanceDrain(at: now)
    }
  }

  mutating func terminate(deadline: Instant, at now: Instant) {
    terminating = true
    let isUnused = queue.isEmpty && lastLease.map { now - $0 >= Self.unusedTime } ?? true
    if isUnused { (drainDelay, probersTold) = (.zero, true) }
    beginDrain(deadline: deadline, delay: isUnused ? .zero : settings.drainDelay, at: now)
  }

  mutating func heardOfDrain(at now: Instant) {
    guard drain?.stage == .lameDuck else { return }
    probersTold = true
    advanceDrain(at: now)
  }

  mutating func resume(at now: Instant) {
    guard !terminating else { return effects.append(.resumeRefused("the process is ending")) }
    switch phase {
    case .starting, .warming, .ready, .unready:
      effects.append(.resumed)
    case .draining, .drained:
      if phase == .draining { effects.append(.drainTakenBack) }
      drain = nil
      probersTold = false
      alarms.drain = nil
      effects.append(.resumed)
      // Warm anew: what was known of the database is from before.
      probe.report.successesInRow = 0
      probe.report.failuresInRow = 0
      enter(.warming, at: now)
      askProbe(at: now)
    }
  }

  mutating func advanceDrain(at now: Instant) {
    guard phase == .draining, let progress = drain else { return }
    switch progress.stage {
    case .lameDuck:
      let end = endOfLameDuck(progress)
      if now >= end { beginClosing(at: now) } else { alarms.drain = end }
    case .closing:
      let patience = min((closingBegan ?? now) + Self.closingGrace, progress.deadline)
      if now >= patience { endUnfinished() }
      if now >= progress.deadline {
        for (id, member) in members.all {
          drain?.cut += 1
          if case .leased(let lease) = member.state { leaseEnded(lease, since: member.since, at: now) }
          close(id, .cutOff)
        }
      }
      alarms.drain = now < patience ? patience : progress.deadline
    case .done: alarms.drain = nil
    }
  }

  private func endOfLameDuck(_ progress: DrainProgress) -> Instant {
    let delayed = progress.began + drainDelay
    let quiet = lastLease.map { $0 + Self.quietTime } ?? progress.began
    let latest = max(progress.deadline - Self.closingTime, delayed)
    if waitsForProbers, !probersTold { return min(latest, progress.deadline) }
    return min(max(delayed, quiet), latest, progress.deadline)
  }

  private mutating func beginClosing(at now: Instant) {
    drain?.stage = .closing
    drain?.inUse = members.leased
    closingBegan = now
    ageing = .none
    while let (lease, _) = queue.next() {
      drain?.refused += 1
      refuse(lease, .draining)
    }
    for (id, member) in members.all {
      switch member.state {
      case .idle, .reserved, .checking, .verifying: effects.append(.finish(id))
      case .connecting, .leased: break
      }
    }
    advanceDrain(at: now)
  }

  mutating func finished(_ id: ConnectionID) {
    guard drain?.stage == .closing, let member = members[id] else { return }
    switch member.state {
    case .idle, .reserved, .checking, .verifying: close(id, .drain)
    case .connecting, .leased: break
    }
  }

  /// What is not there soon is not waited for.
  private mutating func endUnfinished() {
    for (id, member) in members.all {
      switch member.state {
      case .connecting:
        members.remove(id)
        witnessArrived(id)
        counters.loginsAbandoned += 1
        effects.append(.abandonLogin(id))
      case .idle, .reserved, .checking, .verifying: close(id, .drain)
      case .leased: break
      }
    }
  }

  /// The last connection is gone: the drain is done.
  mutating func considerDrained(at now: Instant) {
    guard phase == .draining, drain?.stage == .closing, members.count == 0 else { return }
    drain?.stage = .done
    drain?.ended = now
    alarms = Alarms()
    probe.scout = nil
    probe.isProven = false
    breaker.probeAnswered()
    enter(.drained, at: now)
    if let drain { effects.append(.drained(drain)) }
  }
}
