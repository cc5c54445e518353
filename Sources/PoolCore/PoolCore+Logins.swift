/// When to open a connection: a scout first, alone, until it has logged in and answered the probe; then few at a
/// time, up to the floor, and beyond it for callers that wait.
extension PoolCore {
  mutating func considerLogins(at now: Instant) {
    alarms.login = nil
    guard begun, isServing else { return }
    while wantsConnection {
      guard members.connecting < (probe.connection == nil ? 1 : logins.limit) else { return }
      guard now >= logins.notBefore else {
        alarms.login = logins.notBefore
        return
      }
      if phase == .starting { enter(.warming, at: now) }
      let id = members.add(at: now)
      let beside = probe.connection.flatMap { members[$0]?.host }
      effects.append(.login(id, only: beside))
      if probe.connection == nil {
        scoutStarted(id, at: now)
      } else if needsReplacement, members.current >= settings.minConnections {
        ageing?.new = id
      }
    }
  }

  private var wantsConnection: Bool {
    guard members.count < settings.maxConnections || members.connecting > 0 else { return false }
    if probe.connection == nil { return wantsScout }
    guard probe.isProven, members.count < settings.maxConnections else { return false }
    let wanted = max(settings.minConnections - members.current, queue.count, needsReplacement ? 1 : 0)
    return members.connecting < wanted
  }

  /// The probe has no connection and none can be had from the pool: a login is its witness. If one is under way for
  /// another purpose, that one will do.
  private var wantsScout: Bool { probe.scout == nil && members.verifying == 0 && members.connecting == 0 }

  private var needsReplacement: Bool { ageing != nil && ageing?.new == nil }

  mutating func loggedIn(_ id: ConnectionID, host: HostID, took: Duration, at now: Instant) {
    guard members[id]?.state == .connecting else { return }
    let failures = logins.report.failuresInRow
    logins.succeeded(took: took, at: now)
    counters.loginsSucceeded += 1
    if failures > 0 { effects.append(.loginsWork(after: failures)) }
    witnessArrived(id)
    guard isServing else { return close(id, .drain) }
    if let reserved = probe.connection, members[reserved]?.host != host { return close(id, .otherHost) }
    let expires = now + settings.maxLifetime.scaled(by: 1 - 0.25 * random.fraction())
    members.opened(id, host: host, expires: expires)
    wakeForUpkeep(by: expires)
    makeIdle(id, at: now)
    advanceAgeing(at: now)
  }

  mutating func loginFailed(_ id: ConnectionID, _ fault: Fault, at now: Instant) {
    guard members[id]?.state == .connecting else { return }
    members.remove(id)
    counters.loginsFailed += 1
    logins.failed(fault, at: now, random: &random)
    record(fault, during: .login, at: now)
    // Logins fail: ageing rests, and begins again with the next success.
    if ageing?.new == id { ageing = nil }
    witnessFailed(id, fault, at: now)
  }
}
