import Testing

@testable import PoolCore

/// What holds after every event, whatever happened.
extension VirtualPool {
  func checkLaws(after event: Event) {
    func require(_ holds: Bool, _ law: @autoclosure () -> String) {
      if !holds { broken("\(law()) (after \(event) at \(elapsed))") }
    }
    // One copy, not one an access.
    let core = core
    let members = core.members
    require(sessions.count + connecting.count <= settings.maxConnections, "more connections than the ceiling")
    require(connecting.count <= 2, "more than two logins at once")
    require(members.connecting == connecting.count, "the count of logins under way is wrong")
    require(members.open == sessions.count, "the count of open connections is wrong")
    require(members.leased == holders.count, "the count of leases is wrong")
    if events % 4 == 0 {
      let well = members.all.count { $0.member.isOpen && !$0.member.isBroken }
      let current = members.all.count {
        $0.member.isOpen && !$0.member.isBroken && !members.isRetired($0.member)
      }
      require(members.working == well, "the count of working connections is wrong")
      require(members.current == current, "the count of current connections is wrong")
    }
    require(core.queue.count == line.count, "the count of waiters is wrong")
    require(core.counters.impossibleEvents == 0, "an impossible event")
    if events % 4 == 0 { checkSums(core) }
    require(
      members.idle.isEmpty || line.count <= members.checking,
      "callers wait although a connection is idle and could be asked")
    require(
      core.breaker.state != .open || members.working == 0, "the breaker is open while a connection works")
    require(
      core.leaks.allSatisfy { members[$0.connection]?.state == .leased($0.lease) },
      "a leak that is no lease any more")
    if core.phase == .drained {
      require(members.count == 0 && line.isEmpty, "drained with connections or waiters")
    }
    if core.firstReady != nil, !hasBeenReady {
      hasBeenReady = true
      require(members.open >= core.floor, "ready for the first time below the floor")
    }
    require(
      core.floor == settings.minConnections || settings.elasticMin && core.floor >= 1,
      "the floor is \(core.floor)")
    if let probe = core.probe.connection {
      require(sessions[probe] != nil, "the probe's connection is not open")
      let host = sessions[probe]
      if events % 8 == 0 {
        for (id, other) in sessions where other != host {
          require(holders[id] != nil, "\(id) is at another host than the probe")
        }
      }
    }
    if Set(clusters.filter { holders[$0.key] == nil }.values).count > 1 {
      broken("connections to two clusters are free at \(elapsed)")
    }
    if core.begun, core.phase != .ready, core.phase != .drained, core.nextWake == nil {
      require(!connecting.isEmpty, "nothing would ever happen any more")
    }
    checkProgress(after: event, core.nextWake)
    if events % 16 == 0 { checkSnapshot() }
  }

  /// Every attempt is counted once, under its outcome.
  private func checkSums(_ core: PoolCore) {
    let (counters, timings) = (core.counters, core.timings)
    func require(_ sum: Int, _ attempts: Int, _ what: String) {
      if sum != attempts { broken("\(what): \(attempts), but outcomes of \(sum) at \(elapsed)") }
    }
    let granted = Int(timings.acquires.count)
    let refused = counters.acquireFailures.values.reduce(0, +) + counters.acquiresCancelled
    require(granted + refused + line.count, askedFor, "acquires")
    require(Int(timings.leases.count) + holders.count, granted, "leases")
    require(counters.leases, granted, "grants")
    require(
      counters.loginsSucceeded + counters.loginsFailed + counters.loginsAbandoned + connecting.count,
      loginsBegun, "logins")
    require(Int(timings.logins.count), counters.loginsSucceeded, "logins that succeeded")
    require(Int(timings.probes.count), counters.probesSucceeded, "probes that were answered")
    require(
      counters.closes.values.reduce(0, +) + sessions.count,
      counters.loginsSucceeded, "sessions")
  }

  /// A wake must move the next one on: otherwise the loop spins.
  private func checkProgress(after event: Event, _ next: Instant?) {
    guard case .wake = event, let next, next <= now else {
      idleWakes = 0
      return
    }
    idleWakes += 1
    if idleWakes == 10 { broken("wakes do not move on at \(elapsed)") }
  }

  private func checkSnapshot() {
    let snapshot = core.snapshot(at: now)
    if snapshot.pool.leased != holders.count || snapshot.pool.open != sessions.count
      || snapshot.pool.connecting != connecting.count || snapshot.pool.waiting != line.count
    {
      broken("the snapshot's counts differ from a recount: \(snapshot.pool)")
    }
    let verdict = snapshot.verdict(at: now)
    if verdict.isReady, core.phase != .ready { broken("a verdict of ready in phase \(core.phase)") }
    if !verdict.isReady, verdict.reasons.isEmpty { broken("not ready without a reason") }
    if !snapshot.hasBeenReady, core.phase == .ready { broken("ready, and never been ready") }
  }
}
