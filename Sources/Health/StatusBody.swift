import PoolCore

/// `/status`: everything, for operators. Unlike the health listener's bodies it has hosts and the server's own
/// words; passwords are in none of it.
struct StatusBody {
  let observation: Observation
  let details: AdminDetails
  /// Counted by the admin listener: the pool never hears of them.
  let drainsRefused: Int
  let probers: Probers?

  init(_ observation: Observation, _ details: AdminDetails, drainsRefused: Int, probers: Probers? = nil) {
    self.probers = probers
    self.observation = observation
    self.details = details
    self.drainsRefused = drainsRefused
  }

  var json: JSON {
    let snapshot = observation.snapshot
    let now = observation.now
    let verdict = observation.verdict
    let clock = WallClock(now)
    return [
      "ready": .bool(verdict.isReady),
      "state": .string(Answer(.ready, observation).state),
      "degraded": .bool(verdict.isDegraded),
      "reasons": .array(verdict.reasons.map { $0.json(withDetail: true, withAdvice: true) }),
      "alive": .bool(snapshot.isAlive(at: now)),
      "version": .string(details.version),
      "instance": .string(details.instance),
      "time": .string(clock.time(of: now)),
      "started": .string(clock.time(of: snapshot.started)),
      "uptime": .seconds(now - snapshot.started),
      "state_since": .string(clock.time(of: snapshot.since)),
      "heartbeat_age": .seconds(now - snapshot.taken),
      "startup": snapshot.startupJSON,
      "pool": snapshot.pool.json,
      "generation": .int(snapshot.generation),
      "retirement": snapshot.retirement.map { retirement($0, now, clock) } ?? .null,
      "cluster": [
        "system_identifier": .string(snapshot.cluster?.description),
        "hidden": snapshot.clusterHidden?.json(withDetail: true) ?? .null,
      ],
      "probe": probe(snapshot, now),
      "login": login(snapshot.login, now),
      "slots": slots(snapshot, now), "ticket": ticket(snapshot, now),
      "drain": snapshot.drain?.json(at: now) ?? .null,
      "probers": .array((probers?.all(at: now) ?? []).map { $0.json(at: now) }),
      "breaker": breaker(snapshot, now, clock),
      "leaks": .array(snapshot.leaks.map { leak($0, now, clock) }),
      "session_leaks": sessionLeaks(snapshot.sessionLeaks, now),
      "counters": counters(snapshot.counters),
      "history": history(snapshot.history, now),
      "timeline": .array(snapshot.timeline.map { transition($0, now, clock) }),
      "faults": .array(snapshot.faults.map { record($0, now, clock) }),
      "settings": .array(
        details.settings.map {
          ["name": .string($0.name), "value": .string($0.value), "source": .string($0.source)]
        }),
    ]
  }

  private func probe(_ snapshot: Snapshot, _ now: Instant) -> JSON {
    guard case .object(var members) = snapshot.probe.json(at: now, withDetail: true) else { return .null }
    members.append(.init("successes_in_row", .int(snapshot.probe.successesInRow)))
    members.append(.init("trusted_for", snapshot.readyUntil.map { .seconds($0 - now) } ?? .null))
    return .object(members)
  }

  private func login(_ login: LoginReport, _ now: Instant) -> JSON {
    [
      "failing": .bool(login.isFailing), "failures_in_row": .int(login.failuresInRow),
      "last_success_age": login.lastSuccessAt.map { .seconds(now - $0) } ?? .null,
      "last_took": login.lastTook.map { .seconds($0) } ?? .null,
      "last_fault": login.lastFault?.json(withDetail: true) ?? .null,
      "last_fault_age": login.lastFaultAt.map { .seconds(now - $0) } ?? .null,
      "next_in": login.notBefore.map { .seconds(max(.zero, $0 - now)) } ?? .null,
    ]
  }

  private func slots(_ snapshot: Snapshot, _ now: Instant) -> JSON {
    let (report, reading) = (snapshot.room, snapshot.room.reading)
    func limit(_ limit: ServerRoom.Limit?) -> JSON {
      limit.map { ["limit": .int($0.limit), "used": .int($0.used)] } ?? .null
    }
    return [
      "max": .int(reading?.maxConnections), "reserved": .int(reading?.reserved),
      "used": .int(reading.map { $0.used + 1 }), "role": limit(reading?.role),
      "database": limit(reading?.database), "age": report.readAt.map { .seconds(now - $0) } ?? .null,
      "needed": .int(report.needed), "share": .int(report.share),
      "fleet": reading?.fleet.map { ["instances": .int($0.instances), "sessions": .int($0.sessions + 1)] }
        ?? .null,
      "next_look_in": report.nextLook.map { .seconds(max(.zero, $0 - now)) } ?? .null,
      "hidden": .string(snapshot.roomHidden),
    ]
  }

  private func ticket(_ snapshot: Snapshot, _ now: Instant) -> JSON {
    let report = snapshot.ticket
    guard report.tickets > 0 else { return .null }
    var (until, why, app): (Instant?, String?, Int?) = (nil, nil, nil)
    switch report.state {
    case .held(let end): until = end
    case .heldForApp(let sessions, let end): (app, until) = (sessions, end)
    case .unavailable(let words): why = words
    case .notNeeded, .waiting, .waitedTooLong: break
    }
    return [
      "tickets": .int(report.tickets), "state": .string(report.state.name), "reason": .string(why),
      "wanted_for": report.wantedSince.map { .seconds(now - $0) } ?? .null,
      "app_sessions": .int(app), "held_until_in": until.map { .seconds(max(.zero, $0 - now)) } ?? .null,
      "warmed_without": .int(snapshot.counters.warmedWithoutTicket),
    ]
  }

  private func retirement(_ retirement: Retirement, _ now: Instant, _ clock: WallClock) -> JSON {
    [
      "time": .string(clock.time(of: retirement.at)), "age": .seconds(now - retirement.at),
      "generation": .int(retirement.generation), "reason": .string(retirement.reason.rawValue),
      "fault": retirement.fault?.json(withDetail: true) ?? .null,
    ]
  }

  private func breaker(_ snapshot: Snapshot, _ now: Instant, _ clock: WallClock) -> JSON {
    [
      "state": .string(snapshot.breaker.state.rawValue),
      "since": .string(clock.time(of: snapshot.breaker.since)),
      "fault": snapshot.breaker.because?.json(withDetail: true) ?? .null,
    ]
  }

  private func leak(_ leak: HeldLease, _ now: Instant, _ clock: WallClock) -> JSON {
    [
      "lease": .int(Int(clamping: leak.lease.number)), "connection": .string(leak.connection.description),
      "since": .string(clock.time(of: leak.since)), "held": .seconds(now - leak.since),
      "acquired_at": .string(leak.site),
    ]
  }

  private func counters(_ counters: Counters) -> JSON {
    func counts(_ byName: [String: Int]) -> JSON {
      .object(byName.sorted { $0.key < $1.key }.map { .init($0.key, .int($0.value)) })
    }
    return [
      "logins_succeeded": .int(counters.loginsSucceeded), "logins_failed": .int(counters.loginsFailed),
      "logins_abandoned": .int(counters.loginsAbandoned),
      "acquires_cancelled": .int(counters.acquiresCancelled),
      "probes_succeeded": .int(counters.probesSucceeded), "probes_failed": .int(counters.probesFailed),
      "leases": .int(counters.leases), "exchanges": .int(counters.exchanges),
      "leaks": .int(counters.leaks), "acquire_failures": counts(counters.acquireFailures),
      "closes": counts(counters.closes), "ready_transitions": .int(counters.readyTransitions),
      "drains_refused": .int(drainsRefused), "impossible_events": .int(counters.impossibleEvents),
    ]
  }

  /// Leaks that the server knows of; not those that the pool knows by itself.
  private func sessionLeaks(_ leaks: SessionLeaks, _ now: Instant) -> JSON {
    [
      "checked_age": leaks.checked.map { .seconds(now - $0) } ?? .null,
      "scope": .string(leaks.scope.name),
      "limits": .array(leaks.limits.map { .string($0.words) }),
      "total": .int(leaks.total),
      "open": .array(
        leaks.open.map {
          [
            "backend_pid": .int(Int($0.pid)), "application_name": .string($0.applicationName),
            "role": .string($0.role), "own": .bool($0.isOwn), "idle_for": .seconds($0.idleFor),
          ]
        }),
    ]
  }

  /// A column for each number: the page asks for it every second, and names in every sample would be most of it.
  private func history(_ history: History, _ now: Instant) -> JSON {
    let samples = history.samples
    func column(_ value: (History.Sample) -> JSON) -> JSON { .array(samples.map(value)) }
    return [
      "step": .seconds(History.step),
      "age": column { .number(Double((now - $0.at).inNanoseconds / 100_000_000) / 10) },
      "idle": column { .int($0.idle) }, "leased": column { .int($0.leased) },
      "connecting": column { .int($0.connecting) }, "waiting": column { .int($0.waiting) },
      "probe_took": column { $0.probeTook.map { .seconds($0) } ?? .null },
      "probes_failed": column { .int($0.probesFailed) },
    ]
  }

  private func transition(_ transition: Transition, _ now: Instant, _ clock: WallClock) -> JSON {
    [
      "time": .string(clock.time(of: transition.at)), "age": .seconds(now - transition.at),
      "from": .string(transition.from.rawValue), "to": .string(transition.to.rawValue),
      "degraded": .bool(transition.degraded),
      "reasons": .array(transition.reasons.map { $0.json(withDetail: true) }),
    ]
  }

  private func record(_ record: FaultRecord, _ now: Instant, _ clock: WallClock) -> JSON {
    guard case .object(var members) = record.fault.json(withDetail: true) else { return .null }
    members += [
      .init("host", .string(record.fault.host)), .init("message", .string(record.fault.message)),
      .init("advice", .string(record.fault.advice)),
      .init("first", .string(clock.time(of: record.first))),
      .init("last", .string(clock.time(of: record.last))),
      .init("last_age", .seconds(now - record.last)), .init("count", .int(record.count)),
    ]
    return .object(members)
  }
}
