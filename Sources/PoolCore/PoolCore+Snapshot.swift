extension PoolCore {
  /// Everything there is to know at `now`.
  public func snapshot(at now: Instant) -> Snapshot {
    var snapshot = Snapshot(
      taken: now, phase: phase, reasons: reasons,
      pool: PoolCounts(
        min: settings.minConnections, max: settings.maxConnections, idle: members.open - members.leased,
        leased: members.leased, connecting: members.connecting, waiting: queue.count,
        longestWait: queue.longestWait(at: now)))
    snapshot.degraded = degraded
    snapshot.hasBeenReady = firstReady != nil
    snapshot.firstReady = firstReady
    snapshot.started = started
    snapshot.since = phaseSince
    snapshot.readyUntil = readyUntil
    snapshot.probe = probe.report
    snapshot.login = logins.report
    snapshot.login.notBefore = alarms.login
    snapshot.room = roomReport
    if settings.fleetTickets > 0 { snapshot.ticket = ticketReport }
    snapshot.drain = drain
    snapshot.breaker = breakerReport
    snapshot.leaks = leaks
    snapshot.generation = members.generation
    snapshot.retirement = retirement
    snapshot.cluster = cluster
    snapshot.counters = counters
    snapshot.timings = timings
    snapshot.timeline = timeline
    snapshot.faults = faults
    return snapshot
  }

  /// Ready rests on an answered probe, or on the policy; both run out.
  private var readyUntil: Instant? {
    guard phase == .ready else { return nil }
    if let held { return held.until }
    return probe.report.lastGood.map { $0 + settings.probeTrust }
  }
}
