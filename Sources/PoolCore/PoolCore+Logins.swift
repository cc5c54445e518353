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
      logIn(at: now)
    }
    guard let due = lookoutDue ?? trialDue else { return }
    if now >= due { logIn(at: now) } else { alarms.login = due }
  }

  private mutating func logIn(at now: Instant) {
    if phase == .starting { enter(.warming, at: now) }
    let id = members.add(at: now)
    // While it is doubtful that anything answers there, it goes wherever the primary may be.
    let beside = isLookout ? nil : probe.connection.flatMap { members[$0]?.host }
    effects.append(.login(id, only: beside))
    if probe.connection == nil {
      scoutStarted(id, at: now)
    } else if ageing == .due, members.current >= settings.minConnections {
      ageing = .opening(id)
    }
  }

  private var wantsConnection: Bool {
    guard members.count < settings.maxConnections else { return false }
    if probe.connection == nil { return wantsScout }
    // A login that hangs where nothing answers any more would be in the way of the scout.
    guard probe.isProven, !probe.isDoubted else { return false }
    let wanted = max(
      settings.minConnections - members.current, queue.count - members.checking, ageing == .due ? 1 : 0)
    return members.connecting < wanted
  }

  /// The probe has no connection and none can be had from the pool: a login is its witness. If one is under way for
  /// another purpose, that one will do.
  private var wantsScout: Bool { probe.scout == nil && !isAsking && members.connecting == 0 }

  /// A connection is being asked whether it works.
  private var isAsking: Bool { members.verifying + members.checking > 0 }

  /// The probe's answer is in doubt, and another host may be the primary by now: one that logs in there is the sooner
  /// of the two to know.
  private var isLookout: Bool { insistsOnPrimary && probe.connection != nil && probe.isDoubted }

  /// When to look for the primary elsewhere: if the probe in doubt is late, and nobody else can be asked.
  private var lookoutDue: Instant? {
    guard isLookout, let asked = probe.asked, probe.isProven, members.idle.isEmpty, !isAsking,
      members.connecting == 0, members.count < settings.maxConnections
    else { return nil }
    return max(logins.notBefore, asked + Self.retryProbeAfter)
  }

  /// Logins fail and nobody needs one: one is tried now and then, or it would be reported long after it was mended.
  private var trialDue: Instant? {
    guard logins.isFailing, phase == .ready, probe.connection != nil, probe.isProven, !probe.isDoubted,
      members.connecting == 0, members.count < settings.maxConnections
    else { return nil }
    return max(logins.notBefore, logins.trialDue)
  }

  mutating func loggedIn(
    _ id: ConnectionID, host: HostID, server: ServerID?, took: Duration, at now: Instant
  ) {
    guard let member = members[id], member.state == .connecting else { return }
    let failures = logins.report.failuresInRow
    logins.succeeded(begun: member.since, took: took, at: now)
    counters.loginsSucceeded += 1
    if failures > 0 { effects.append(.loginsWork(after: failures)) }
    if probe.connection == nil { breaker.scoutArrived() }
    witnessArrived(id)
    guard isServing else { return close(id, .drain) }
    if let reserved = probe.connection, let former = members[reserved]?.host, former != host {
      guard isLookout else { return close(id, .otherHost) }
      probe.silentHost = former
    }
    if let server { arrived(at: server.cluster, at: now) }
    if isElsewhere(host) {
      // The probe goes on at another host: what is left at the one before ends with its leases.
      giveUpGeneration(.otherHost, at: now)
    }
    let expires = now + settings.maxLifetime.scaled(by: 1 - 0.25 * random.fraction())
    members.opened(id, host: host, server: server, expires: expires, spread: newSpread())
    makeIdle(id, at: now)
    beginUpkeep(of: id)
    if ageing == .opening(id) {
      ageing = .opened(id)
      advanceAgeing(at: now)
    }
  }

  /// The address leads to another cluster than it did: connections to the one before see other data, and perhaps a
  /// server that nobody else writes to any more.
  private mutating func arrived(at next: ClusterID, at now: Instant) {
    defer { cluster = next }
    guard let cluster, cluster != next else { return }
    let fault = Fault(
      .otherCluster, at: .session, message: "system identifier \(next), before it was \(cluster)")
    record(fault, during: .connection, at: now)
    // An address that leads now here and now there must not be knocked at without a pause.
    if members.current > 0 { sessionsLost(fault, at: now) }
    giveUpGeneration(.otherCluster, because: fault, at: now)
  }

  /// Connections of this generation are open at another host.
  private func isElsewhere(_ host: HostID) -> Bool {
    members.open > 0
      && members.all.contains { $0.member.isOpen && !members.isRetired($0.member) && $0.member.host != host }
  }

  mutating func loginFailed(_ id: ConnectionID, _ fault: Fault, at now: Instant) {
    guard let member = members[id], member.state == .connecting else { return }
    members.remove(id)
    counters.loginsFailed += 1
    breaker.loginFailed(at: now)
    shutdownSigns.loginFailed()
    logins.failed(fault, begun: member.since, at: now, random: &random)
    record(fault, during: .login, at: now)
    if ageing == .opening(id) { ageing = .none }
    witnessFailed(id, fault, at: now)
  }

  /// The password may be another one now; a splay goes on, because nothing has failed yet.
  mutating func credentialsChanged(at now: Instant) {
    if phase != .starting { logins.credentialsChanged(at: now, random: &random) }
  }

  /// Another host may be the right one now.
  mutating func rolesChanged(at now: Instant) {
    if phase != .starting, logins.isFailing || !probe.isProven { logins.trySoon(at: now, random: &random) }
  }
}
