/// Every decision of the pool, and nothing else: no I/O, no clock, no threads.
///
/// It is told what happened, and when (`handle`), and answers what has to be done. `nextWake` says when it wants to
/// be told the time again even if nothing happens. The shell that runs it on real connections and the simulator
/// that runs thousands of it in virtual time both do just that.
///
/// The rules are in the extensions beside this file, one idea each:
/// - `PoolCore+Logins`: when to open a connection
/// - `PoolCore+Room`: whether the server has slots for what is needed
/// - `PoolCore+Share`: settling for a share of the room
/// - `PoolCore+Tickets`: warming only while few others do
/// - `PoolCore+Probe`: asking the database, witnesses, and what counts as lost
/// - `PoolCore+Readiness`: phases, hysteresis, and what to say when the database is lost
/// - `PoolCore+Leases`: callers that acquire and release
/// - `PoolCore+Checks`: whether a connection that was idle still works
/// - `PoolCore+Losses`: connections that end, or are given up together
/// - `PoolCore+Ageing`: replacing old connections, pruning idle ones
/// - `PoolCore+Breaker`: refusing callers at once while there is nothing to wait for
/// - `PoolCore+Leaks`: leases that are held too long
/// - `PoolCore+Drain`: lame duck, closing, resume
public struct PoolCore: Sendable {
  /// The limits it decides by.
  public let settings: PoolSettings
  var random: RandomSource

  /// Where the instance is in its life.
  public internal(set) var phase = Snapshot.Phase.starting
  var phaseSince: Instant
  let started: Instant
  /// Sessions are at a primary or nowhere, and there is one primary.
  let insistsOnPrimary: Bool
  let waitsForProbers: Bool
  var firstReady: Instant?
  var held: Held?
  var begun = false
  var terminating = false

  var members = Members()
  /// New connections go where the probe's connection is.
  var probe = Probe()
  var logins = LoginPacing()
  var headroom = Headroom()
  var tickets = Tickets()
  var ageing = Ageing.none
  var lastPruned: Instant?
  var shutdownSigns = ShutdownSigns()
  /// The last time that all connections were given up together.
  var retirement: Retirement?
  /// The cluster that connections were last opened to, as far as its server tells.
  var cluster: ClusterID?
  /// Some idle connection may have yet to be asked because a sibling was lost.
  var hasSuspects = false

  var queue = WaitQueue()
  var newestLease = LeaseID(0)
  /// Those that have been held too long, and still are.
  var leaks: [HeldLease] = []
  var breaker: Breaker
  var lastLease: Instant?

  var drain: DrainProgress?
  var drainDelay: Duration = .zero
  var probersTold = false
  var closingBegan: Instant?

  var alarms = Alarms()
  var effects: [Effect] = []
  var counters = Counters()
  var timings = Timings()
  var timeline: [Transition] = []
  var faults: [FaultRecord] = []
  /// What the last transition said.
  var lastDegraded = false
  var lastHeld = false

  /// `seed` decides every random choice. `drained`: a drain marker was found, so it begins drained and waits for a
  /// resume. `insistsOnPrimary`: logins take a primary or nothing. `waitsForProbers`: a drain's lame duck phase goes on
  /// until `Event.probersTold`, as far as its deadline allows. `settings` are expected to be valid.
  public init(
    settings: PoolSettings, seed: UInt64, drained: Bool = false, insistsOnPrimary: Bool = false,
    waitsForProbers: Bool = false, at now: Instant
  ) {
    self.waitsForProbers = waitsForProbers
    self.settings = settings
    self.insistsOnPrimary = insistsOnPrimary
    random = RandomSource(seed: seed)
    started = now
    breaker = Breaker(at: now)
    phaseSince = now
    if drained {
      phase = .drained
      drain = DrainProgress(stage: .done, began: now, deadline: now)
      drain?.ended = now
    }
  }

  /// When each rule wants to be woken. Derived from nothing else, so each is set and cleared where its rule is.
  struct Alarms: Sendable {
    var probe: Instant?
    var probeDeadline: Instant?
    var witnessLate: Instant?
    var login: Instant?
    var room: Instant?
    var giveBack: Instant?
    var scoutLeaves: Instant?
    var look: Instant?
    var ticket: Instant?
    var hold: Instant?
    var upkeep: Instant?
    var verifyDeadline: Instant?
    var drain: Instant?
    var leak: Instant?
  }

  /// How logins fare; part of every snapshot, here without making one.
  public var loginReport: LoginReport { logins.report }

  /// The probe's own connection.
  public var probeConnection: ConnectionID? { probe.connection }

  /// The next moment at which `handle(.wake, …)` has something to do, as of the last event.
  public private(set) var nextWake: Instant?

  private mutating func findNextWake() {
    var next = queue.nextDeadline
    func take(_ alarm: Instant?) {
      if let alarm { next = next.map { min($0, alarm) } ?? alarm }
    }
    take(alarms.probe)
    take(alarms.probeDeadline)
    take(alarms.witnessLate)
    take(alarms.login)
    take(alarms.room)
    take(alarms.giveBack)
    take(alarms.scoutLeaves)
    take(alarms.look)
    take(alarms.ticket)
    take(alarms.hold)
    take(alarms.upkeep)
    take(alarms.verifyDeadline)
    take(alarms.drain)
    take(alarms.leak)
    nextWake = next
  }

  /// Takes in what happened at `now`, and returns what is to be done about it, in order.
  public mutating func handle(_ event: Event, at now: Instant) -> [Effect] {
    var done: [Effect] = []
    handle(event, at: now, into: &done)
    return done
  }

  /// As `handle(_:at:)`, reusing the caller's storage: what `buffer` held is lost.
  public mutating func handle(_ event: Event, at now: Instant, into buffer: inout [Effect]) {
    if !effects.isEmpty { effects.removeAll(keepingCapacity: true) }
    if case .abandon(let lease) = event, queue.cancel(lease) { counters.acquiresCancelled += 1 }
    // Before anything else: what this event frees must not go to a caller whose time is up.
    while let (lease, waited) = queue.expired(at: now) { refuse(lease, .timedOut(waited: waited)) }
    switch event {
    case .begin: begin(at: now)
    case .wake: wake(at: now)
    case .loggedIn(let id, let host, let server, let took):
      loggedIn(id, host: host, server: server, took: took, at: now)
    case .loginFailed(let id, let fault): loginFailed(id, fault, at: now)
    case .roomAnswered(let id, let room): roomAnswered(id, room, at: now)
    case .ticketAnswered(let id, let answer): ticketAnswered(id, answer, at: now)
    case .appCounted(let id, let count): appCounted(id, count, at: now)
    case .probeAnswered(let id): probeAnswered(id, at: now)
    case .probeFailed(let id, let fault, let usable): probeFailed(id, fault, usable: usable, at: now)
    case .unanswered: askProbe(doubted: true, at: now)
    case .verified(let id): verified(id, at: now)
    case .finished(let id): finished(id)
    case .ended(let id, let fault): ended(id, fault, at: now)
    case .acquire(let lease, let deadline): acquire(lease, deadline: deadline, at: now)
    case .abandon: break
    case .release(let lease, let id, let reusable, let fault):
      release(lease, id, reusable: reusable, fault, at: now)
    case .exchange(let lease, let id, let fault, let deadline):
      exchange(lease, id, fault, deadline: deadline, at: now)
    case .credentialsChanged: credentialsChanged(at: now)
    case .rolesChanged: rolesChanged(at: now)
    case .drain(let deadline): beginDrain(deadline: deadline, delay: settings.drainDelay, at: now)
    case .probersTold: heardOfDrain(at: now)
    case .terminate(let deadline): terminate(deadline: deadline, at: now)
    case .resume: resume(at: now)
    }
    settle(at: now)
    swap(&effects, &buffer)
  }

  private mutating func begin(at now: Instant) {
    guard !begun else { return impossible("begin twice") }
    begun = true
    guard phase == .starting else { return }
    let splay = random.duration(from: .zero, to: settings.splay)
    if splay > .zero { logins.wait(until: now + splay) } else { enter(.warming, at: now) }
  }

  /// Each alarm that is due is cleared before its rule runs, so that a rule can set it again.
  private mutating func wake(at now: Instant) {
    func due(_ alarm: inout Instant?) -> Bool {
      guard let at = alarm, at <= now else { return false }
      alarm = nil
      return true
    }
    if due(&alarms.probeDeadline) { probeTimedOut(at: now) }
    if due(&alarms.witnessLate) { witnessIsLate(at: now) }
    if due(&alarms.verifyDeadline) { verifyTimedOut(at: now) }
    if due(&alarms.probe) { askProbe(at: now) }
    if due(&alarms.drain) { advanceDrain(at: now) }
    if due(&alarms.upkeep) { upkeep(at: now) }
    if due(&alarms.leak) { reportLeaks(at: now) }
    if due(&alarms.giveBack) { giveBackSlots(at: now) }
    if due(&alarms.scoutLeaves) { leaveServer(at: now) }
    // What these wait for is decided after every event.
    _ = due(&alarms.room)
    _ = due(&alarms.look)
    _ = due(&alarms.ticket)
    _ = due(&alarms.hold)
    _ = due(&alarms.login)
  }

  /// After every event: whatever follows from the state as it is now.
  ///
  /// What is looked at here every time is inlined, or mutating: for a call that only reads, the compiler would copy the
  /// whole core, which is 1.6 KB.
  private mutating func settle(at now: Instant) {
    considerDrained(at: now)
    considerProbe(at: now)
    serveWaiters(at: now)
    judge(at: now)
    considerTicket(at: now)
    considerRoom(at: now)
    considerLogins(at: now)
    considerBreaker(at: now)
    noteDegradation(at: now)
    findNextWake()
  }

  /// An event that the rules say cannot happen: a bug of the shell, but nothing to die of in production.
  mutating func impossible(_ what: @autoclosure () -> String) {
    counters.impossibleEvents += 1
    assertionFailure(what())
  }

  /// Keeps the fault for the snapshot, and tells the log unless the same was seen lately: an outage is a few lines,
  /// however long it lasts.
  mutating func record(_ fault: Fault, during context: FaultContext, at now: Instant) {
    counters.faults.add(fault)
    var record = FaultRecord(fault: fault, first: now, last: now, count: 1)
    if let index = faults.lastIndex(where: { $0.fault.kind == fault.kind && $0.fault.step == fault.step }) {
      let earlier = faults.remove(at: index)
      record.first = earlier.first
      record.count += earlier.count
      if now - earlier.last >= .seconds(300) { effects.append(.fault(fault, during: context)) }
    } else {
      effects.append(.fault(fault, during: context))
    }
    faults.append(record)
    if faults.count > 20 { faults.removeFirst() }
  }
}
