import PoolCore

/// An instance in every state that the page has to show, and what its words are.
struct Scene: Sendable, CustomStringConvertible {
  let description: String
  let state: String
  let headline: String
  let snapshot: @Sendable (Instant) -> Snapshot

  init(
    _ name: String, state: String? = nil, headline: String, _ phase: Snapshot.Phase, reasons: [Reason] = [],
    beat: Duration = .zero, change: @escaping @Sendable (inout Snapshot, Instant) -> Void = { _, _ in }
  ) {
    description = name
    self.state = state ?? phase.rawValue
    self.headline = headline
    snapshot = { now in
      var snapshot = Snapshot(
        taken: now - beat, phase: phase, reasons: reasons,
        pool: PoolCounts(min: 4, max: 10, idle: 3, leased: 2))
      snapshot.started = now - .seconds(4000)
      snapshot.since = now - .seconds(95)
      snapshot.readyUntil = now + .seconds(6)
      snapshot.probe.last = .init(at: now - .milliseconds(1500), took: .microseconds(420))
      snapshot.probe.lastGood = now - .milliseconds(1500)
      snapshot.login.lastSuccessAt = now - .seconds(20)
      snapshot.login.lastTook = .milliseconds(9)
      snapshot.firstReady = snapshot.started + .milliseconds(21)
      snapshot.hasBeenReady = true
      snapshot.room.reading = ServerRoom(
        maxConnections: 200, reserved: 3, used: 120, fleet: .init(instances: 12, sessions: 59))
      snapshot.room.readAt = now - .seconds(12)
      snapshot.counters.leases = 48_211
      snapshot.counters.closes = ["idle": 12, "max_lifetime": 7]
      snapshot.history = Scene.history(until: now)
      snapshot.timeline = Scene.timeline(until: now)
      snapshot.faults = Scene.faults(until: now)
      change(&snapshot, now)
      return snapshot
    }
  }

  // MARK: - Its past

  /// Five minutes with a burst of load, a gap while the process stood still, and a failed probe.
  private static func history(until now: Instant) -> History {
    var history = History()
    for second in stride(from: 290, through: 0, by: -1) where !(100..<125).contains(second) {
      let at = now - .seconds(second)
      let load = (150..<220).contains(second) ? 10 - second % 3 : 1 + second % 3
      var snapshot = Snapshot(
        taken: at, phase: .ready, reasons: [],
        pool: PoolCounts(
          min: 4, max: 10, idle: max(0, 4 - load), leased: load, connecting: second % 40 == 0 ? 1 : 0,
          waiting: load > 9 ? second % 17 : 0))
      if second % 5 == 0 {
        snapshot.probe.last = .init(
          at: at, took: .microseconds(300 + second * 37 % 500 + (load > 8 ? 2000 : 0)),
          fault: second == 60 ? refused : nil)
      }
      history.note(snapshot)
    }
    return history
  }

  private static func timeline(until now: Instant) -> [Transition] {
    [
      Transition(at: now - .seconds(90_000), from: .starting, to: .warming, degraded: false, reasons: []),
      Transition(at: now - .seconds(89_999), from: .warming, to: .ready, degraded: false, reasons: []),
      Transition(
        at: now - .seconds(400), from: .ready, to: .ready, degraded: true, reasons: [.loginFailing(password)]),
      Transition(at: now - .seconds(380), from: .ready, to: .ready, degraded: false, reasons: []),
      Transition(
        at: now - .seconds(120), from: .ready, to: .unready, degraded: false,
        reasons: [.databaseLost(refused)]),
      Transition(at: now - .seconds(95), from: .unready, to: .ready, degraded: false, reasons: []),
    ]
  }

  private static func faults(until now: Instant) -> [FaultRecord] {
    [
      FaultRecord(fault: password, first: now - .seconds(400), last: now - .seconds(382), count: 4),
      FaultRecord(fault: refused, first: now - .seconds(120), last: now - .seconds(96), count: 31),
    ]
  }

  static let refused = Fault(
    .refused, at: .tcp, host: "db.example:5432",
    message: "connection to server at \"10.2.3.4\", port 5432 failed: Connection refused")
  static let password = Fault(
    .server(.invalidPassword), at: .authentication, host: "db.example:5432",
    message: "FATAL:  password authentication failed for user \"shop\"")
  /// What a server under somebody else's rule may say.
  static let hostile = Fault(
    .server(.cannotConnectNow), at: .probe, host: "db.example:5432",
    message:
      "<script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\"> </script></style>"
      + "</noscript>--> &lt;b&gt; ' \" \u{202E}reversed\u{0007} "
      + String(repeating: "without-a-break", count: 400))

  // MARK: - All of them

  static let starting = Scene("starting", headline: "not ready: starting", .starting, reasons: [.starting]) {
    snapshot, now in
    let started = now - .milliseconds(800)
    snapshot = Snapshot(taken: now, reasons: [.starting], pool: PoolCounts(min: 4, max: 10))
    snapshot.started = started
    snapshot.since = started
  }
  static let warming = Scene(
    "warming", headline: "not ready: warming", .warming,
    reasons: [.warming(open: 1, min: 4, because: password)]
  ) { snapshot, now in
    snapshot.pool = PoolCounts(min: 4, max: 10, idle: 1, connecting: 1)
    snapshot.login.failuresInRow = 3
    snapshot.login.lastFault = password
    snapshot.login.lastFaultAt = now - .seconds(1)
    snapshot.login.notBefore = now + .seconds(2)
    snapshot.firstReady = nil
    snapshot.hasBeenReady = false
  }
  static let noSlots = Scene(
    "warming, no slots", state: "warming", headline: "not ready: warming", .warming,
    reasons: [.noSlots(ServerRoom(maxConnections: 200, reserved: 3, used: 195), needed: 4)]
  ) { snapshot, now in
    snapshot.pool = PoolCounts(min: 4, max: 10, idle: 1)
    snapshot.room.needed = 3
    snapshot.room.nextLook = now + .seconds(14)
    snapshot.ticket = TicketReport(tickets: 2, state: .waiting, wantedSince: now - .seconds(8))
  }
  static let ready = Scene("ready", headline: "ready", .ready)
  static let busy = Scene("ready and busy", state: "ready", headline: "ready", .ready) { snapshot, now in
    snapshot.pool = PoolCounts(
      min: 4, max: 10, idle: 0, leased: 10, waiting: 17, longestWait: .milliseconds(840))
    snapshot.leaks = [
      HeldLease(
        lease: LeaseID(7), connection: ConnectionID(3), since: now - .seconds(312),
        site: "Shop/Cart.swift:42, in task \"checkout\"")
    ]
    snapshot.sessionLeaks.limits = [.unixSocket]
  }
  static let degraded = Scene("degraded", state: "degraded", headline: "ready, degraded", .ready) {
    snapshot, now in
    snapshot.degraded = [.loginFailing(password), .belowFloor(open: 2, min: 4)]
    snapshot.login.failuresInRow = 3
    snapshot.login.lastFaultAt = now - .seconds(4)
  }
  static let unready = Scene(
    "unready, with a hostile server", state: "unready", headline: "not ready", .unready,
    reasons: [.probeFailed(hostile)]
  ) { snapshot, now in
    snapshot.probe.last = .init(at: now - .milliseconds(300), took: .seconds(1), fault: hostile)
    snapshot.probe.lastGood = now - .seconds(97)
    snapshot.probe.failuresInRow = 12
    snapshot.faults.append(FaultRecord(fault: hostile, first: now - .seconds(95), last: now, count: 12))
    snapshot.timeline.append(
      Transition(
        at: now - .seconds(95), from: .ready, to: .unready, degraded: false, reasons: [.probeFailed(hostile)])
    )
    snapshot.breaker = BreakerReport(state: .open, since: now - .seconds(90), because: hostile)
    snapshot.sessionLeaks.open = [
      SessionLeak(
        pid: 4711, transactionBegan: "2026-01-01", applicationName: "<b>bold</b>", role: "shop", isOwn: false,
        idleFor: .seconds(70))
    ]
  }
  static let stalled = Scene(
    "stalled", state: "stalled", headline: "not ready: stalled", .ready, beat: .milliseconds(3200))
  static let lameDuck = Scene("draining", headline: "not ready: draining", .draining, reasons: [.draining]) {
    snapshot, now in
    snapshot.drain = DrainProgress(
      stage: .lameDuck, began: now - .seconds(2), deadline: now + .seconds(23))
  }
  static let closing = Scene(
    "draining, closing", state: "draining", headline: "not ready: draining", .draining, reasons: [.draining]
  ) { snapshot, now in
    var drain = DrainProgress(stage: .closing, began: now - .seconds(15), deadline: now + .seconds(10))
    (drain.inUse, drain.finished, drain.refused) = (5, 3, 2)
    snapshot.drain = drain
  }
  static let drained = Scene("drained", headline: "not ready: drained", .drained, reasons: [.drained]) {
    snapshot, now in
    snapshot.pool = PoolCounts(min: 4, max: 10)
    var drain = DrainProgress(stage: .done, began: now - .seconds(15), deadline: now + .seconds(10))
    drain.ended = now - .seconds(1)
    (drain.inUse, drain.finished, drain.cut, drain.refused, drain.closed) = (5, 4, 1, 2, 10)
    snapshot.drain = drain
  }

  static let all = [
    starting, warming, noSlots, ready, busy, degraded, unready, stalled, lameDuck, closing, drained,
  ]
}
