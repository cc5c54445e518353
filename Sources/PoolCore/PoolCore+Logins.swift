/// When to open a connection: a scout first, alone, until it has logged in and answered the probe; then few at a
/// time, up to the floor, and beyond it for callers that wait.
extension PoolCore {
  mutating func considerLogins(at now: Instant) {
    alarms.login = nil
    guard begun, isServing else { return }
    while wantsConnection {
      // Beside the scout nobody; one while it is not known whether there is room for more.
      let isUncertain = probe.connection == nil || headroom.asked != nil
      guard members.connecting < (isUncertain ? 1 : logins.limit) else { return }
      let notBefore =
        probe.connection == nil ? logins.notBefore : max(logins.notBefore, logins.crowdedUntil)
      guard now >= notBefore else {
        alarms.login = notBefore
        return
      }
      logIn(at: now)
    }
    if let due = lookoutDue {
      if now >= due { lookOut(at: now) } else { alarms.login = due }
    } else if let due = trialDue {
      if now >= due { logIn(at: now) } else { alarms.login = due }
    }
  }

  private mutating func logIn(at now: Instant) {
    if phase == .starting { enter(.warming, at: now) }
    let id = members.add(at: now)
    let beside = probe.connection.flatMap { members[$0]?.host }
    effects.append(.login(id, at: beside.map { .only($0) } ?? .anywhere))
    if probe.connection == nil {
      scoutStarted(id, at: now)
    } else if ageing == .due, members.current >= floor {
      ageing = .opening(id)
    }
  }

  @inline(__always) private var wantsConnection: Bool {
    guard members.count < settings.maxConnections else { return false }
    if probe.connection == nil { return wantsScout }
    // A login that hangs where nothing answers any more would be in the way of the scout.
    guard probe.isProven, probe.doubt == .none, headroom.hold == nil else { return false }
    let missing = mayWarm ? floor - members.current : 0
    let wanted = max(missing, queue.count - members.checking, ageing == .due ? 1 : 0)
    return members.connecting < wanted
  }

  /// The probe has no connection and none can be had from the pool: a login is its witness. If one is under way for
  /// another purpose, that one will do.
  private var wantsScout: Bool {
    probe.scout == nil && members.verifying == 0 && members.checking == 0 && members.connecting == 0
  }

  /// When to look whether another host is the primary by now, which may be known sooner than that the probe gets no
  /// answer. Once while it is in doubt; the host in doubt is not asked, it may be in trouble enough.
  @inline(__always) private var lookoutDue: Instant? {
    guard insistsOnPrimary, probe.doubt == .suspected, let asked = probe.asked, probe.isProven,
      members.connecting == 0, members.count < settings.maxConnections
    else { return nil }
    return max(logins.notBefore, asked + Self.retryProbeAfter)
  }

  private mutating func lookOut(at now: Instant) {
    guard let host = probe.connection.flatMap({ members[$0]?.host }) else { return }
    let id = members.add(at: now)
    probe.doubt = .lookingOut(id)
    effects.append(.login(id, at: .elsewhere(than: host)))
  }

  /// Logins fail and nobody needs one: one is tried now and then, or it would be reported long after it was mended.
  @inline(__always) private var trialDue: Instant? {
    guard logins.isFailing, headroom.hold == nil, phase == .ready, probe.connection != nil, probe.isProven,
      probe.doubt == .none,
      members.connecting == 0, members.count < settings.maxConnections
    else { return nil }
    return max(logins.notBefore, logins.trialDue)
  }

  mutating func loggedIn(
    _ id: ConnectionID, host: HostID, server: ServerID?, took: Duration, at now: Instant
  ) {
    guard let member = members[id], member.state == .connecting else { return }
    let failures = logins.report.failuresInRow
    logins.succeeded(
      begun: member.since, took: took, patience: settings.connectTimeout, isFirst: probe.connection == nil,
      isLast: members.current + 1 >= floor, at: now, random: &random)
    counters.loginsSucceeded += 1
    timings.logins.add(nanoseconds: took.inNanoseconds)
    if failures > 0 { effects.append(.loginsWork(after: failures)) }
    if probe.connection == nil { breaker.scoutArrived() }
    witnessArrived(id)
    guard isServing else { return close(id, .drain) }
    if let asked = probe.connection.flatMap({ members[$0] }), asked.host != host {
      guard probe.doubt == .lookingOut(id) else { return close(id, .otherHost) }
      (probe.doubt, probe.silentServer) = (.lookedOut, asked.server)
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
    // That no other host is the primary, or that there is none, is no fault.
    if probe.doubt == .lookingOut(id) {
      counters.loginsAbandoned += 1
      return probe.doubt = .lookedOut
    }
    counters.loginsFailed += 1
    breaker.loginFailed(at: now)
    shutdownSigns.loginFailed()
    logins.failed(fault, begun: member.since, at: now, random: &random)
    record(fault, during: .login, at: now)
    if ageing == .opening(id) { ageing = .none }
    if fault.sqlState == .tooManyConnections { slotsRefused(at: now) }
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
