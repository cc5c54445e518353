import Testing

@testable import PoolCore

/// A pool in virtual time: a `PoolCore`, a clock, and a server that does what the test says. Effects are carried out
/// as a shell would, everything is recorded with its time, and the laws of `VirtualPool+Laws` are checked after
/// every event.
final class VirtualPool {
  struct Lease {
    enum State: Equatable {
      case waiting
      case granted(ConnectionID)
      case refused(AcquireRefusal)
      case abandoned
      case released
      /// Its connection was closed under it.
      case cutOff
    }
    var state = State.waiting
    var since: Instant
    var deadline: Instant
    var grantedAt: Instant?
  }

  private struct Pending {
    var at: Instant
    var order: Int
    var event: Event
    /// The connection whose end makes it void; zero for none.
    var connection: ConnectionID
  }

  private(set) var core: PoolCore
  private(set) var now = Instant.origin
  var server = VirtualServer()

  /// Everything the core asked for.
  private(set) var log: [(at: Instant, effect: Effect)] = []
  var keepsLog = true
  /// Starts of logins.
  private(set) var attempts: [Instant] = []
  private(set) var connecting: Set<ConnectionID> = []
  /// Connections from the end of their login to their close, and their hosts.
  private(set) var sessions: [ConnectionID: HostID] = [:]
  /// The clusters they are connected to, as far as their server tells.
  private(set) var clusters: [ConnectionID: ClusterID] = [:]
  /// Those of them that have ended, as the core has been told.
  private(set) var dead: Set<ConnectionID> = []
  private(set) var holders: [ConnectionID: LeaseID] = [:]
  private(set) var leases: [LeaseID: Lease] = [:]
  /// How often a connection was asked for, exchanges included.
  private(set) var askedFor = 0
  /// How often a login was begun.
  private(set) var loginsBegun = 0
  /// Those that wait, in the order in which they came.
  private(set) var line: [LeaseID] = []
  private(set) var events = 0
  /// Wakes in a row that found nothing to do before the same moment.
  var idleWakes = 0
  /// Called for a law that does not hold.
  var broken: (String) -> Void = { Issue.record(Comment(rawValue: $0)) }

  var hasBeenReady = false

  private(set) var roomReadings = 0
  /// What it shares with its fleet; nil: there are none.
  var tickets: VirtualTickets?
  /// The connection that has one.
  private(set) var ticket: ConnectionID?
  private var pending: [Pending] = []
  private var orders = 0
  private var lastLease: UInt64 = 0
  private var buffer: [Effect] = []

  init(
    _ settings: PoolSettings = PoolSettings(), seed: UInt64 = 1, drained: Bool = false, begun: Bool = true,
    insistsOnPrimary: Bool = false, waitsForProbers: Bool = false, server: VirtualServer = VirtualServer()
  ) {
    self.server = server
    core = PoolCore(
      settings: settings, seed: seed, drained: drained, insistsOnPrimary: insistsOnPrimary,
      waitsForProbers: waitsForProbers, at: .origin)
    if begun { send(.begin) }
  }

  convenience init(seed: UInt64 = 1, _ change: (inout PoolSettings) -> Void) {
    var settings = PoolSettings()
    change(&settings)
    self.init(settings, seed: seed)
  }

  // MARK: - Time

  var elapsed: Duration { now - .origin }

  /// The next moment at which anything happens by itself.
  var nextMoment: Instant? {
    guard let answer = pending.last?.at else { return core.nextWake }
    return core.nextWake.map { min($0, answer) } ?? answer
  }

  /// Lets everything happen that happens until then.
  func advance(by duration: Duration) { advance(to: now + duration) }

  func advance(to time: Instant) {
    while let next = nextMoment, next <= time, idleWakes < 100 { step() }
    now = max(now, time)
  }

  /// Advances until something holds, looking after every event and at least every `grain`; the time it took, or nil
  /// if it did not hold in time.
  @discardableResult
  func advance(within limit: Duration, grain: Duration? = nil, until holds: (VirtualPool) -> Bool)
    -> Duration?
  {
    let start = now
    let end = now + limit
    while !holds(self) {
      guard now < end, idleWakes < 100 else { return nil }
      let tick = grain.map { min(now + $0, end) } ?? end
      if let next = nextMoment, next <= tick { step() } else { now = tick }
    }
    return now - start
  }

  /// The clock moves on while the loop is busy: whatever was due is still to come.
  func skip(_ duration: Duration) { now = now + duration }

  /// The next thing that happens: an answer, or a wake.
  func step() {
    guard let next = nextMoment else { return }
    now = max(now, next)
    if let answer = pending.last, answer.at <= now {
      pending.removeLast()
      switch answer.event {
      // As the server is when it answers.
      case .roomAnswered(let id, _): send(.roomAnswered(id, server.room(with: sessions.count)))
      case .ticketAnswered(let id, _): send(.ticketAnswered(id, takeTicket(id)))
      default: send(answer.event)
      }
    } else {
      send(.wake)
    }
  }

  // MARK: - Tickets

  private func takeTicket(_ id: ConnectionID) -> TicketAnswer {
    guard let tickets else { return .unavailable("there are none") }
    guard tickets.free > 0 else { return .noneFree }
    tickets.free -= 1
    ticket = id
    return .granted
  }

  private func returnTicket() {
    tickets?.free += 1
    ticket = nil
  }

  // MARK: - Events

  func send(_ event: Event) {
    events += 1
    switch event {
    case .acquire, .exchange: askedFor += 1
    case .loggedIn(let id, let host, let server, _):
      guard connecting.remove(id) != nil else { break }
      clusters[id] = server?.cluster
      sessions[id] = host
    case .loginFailed(let id, _): connecting.remove(id)
    case .ended(let id, _): if sessions[id] != nil { dead.insert(id) }
    case .probeFailed(let id, _, let usable): if !usable { dead.insert(id) }
    default: break
    }
    core.handle(event, at: now, into: &buffer)
    for effect in buffer {
      if keepsLog { log.append((now, effect)) }
      carryOut(effect)
    }
    checkLaws(after: event)
  }

  /// The server or the network ends a connection, whatever it is used for.
  func end(_ id: ConnectionID, _ fault: Fault) {
    guard sessions[id] != nil, !dead.contains(id) else { return }
    cancel(id)
    send(.ended(id, fault))
  }

  /// All of them, oldest first. Those that the core closes meanwhile are not told about.
  func endAll(_ fault: Fault) {
    for id in sessions.keys.sorted() { end(id, fault) }
  }

  @discardableResult
  func acquire(for patience: Duration? = nil) -> LeaseID {
    lastLease += 1
    let id = LeaseID(lastLease)
    let deadline = now + (patience ?? core.settings.acquireTimeout)
    leases[id] = Lease(since: now, deadline: deadline)
    line.append(id)
    send(.acquire(id, deadline: deadline))
    return id
  }

  func release(_ lease: LeaseID, reusable: Bool = true, _ fault: Fault? = nil) {
    guard let id = connection(of: lease) else { return }
    leases[lease]?.state = .released
    holders[id] = nil
    send(.release(lease, id, reusable: reusable, fault))
  }

  /// The lease's connection turns out to be dead at its first statement.
  func exchange(_ lease: LeaseID, _ fault: Fault = .closed, for patience: Duration? = nil) {
    guard let id = connection(of: lease) else { return }
    let deadline = now + (patience ?? core.settings.acquireTimeout)
    leases[lease] = Lease(since: now, deadline: deadline)
    // It had its turn before all who wait, but for others that came before it and were exchanged too.
    line.insert(lease, at: line.firstIndex { $0 > lease } ?? line.endIndex)
    holders[id] = nil
    dead.insert(id)
    send(.exchange(lease, id, fault, deadline: deadline))
  }

  func abandon(_ lease: LeaseID) {
    if leases[lease]?.state == .waiting {
      leases[lease]?.state = .abandoned
      line.removeAll { $0 == lease }
    }
    send(.abandon(lease))
  }

  func drain(for duration: Duration? = nil) {
    send(.drain(deadline: now + (duration ?? core.settings.drainTimeout)))
  }

  func terminate(for duration: Duration? = nil) {
    send(.terminate(deadline: now + (duration ?? core.settings.drainTimeout)))
  }

  // MARK: - Carrying out

  private func carryOut(_ effect: Effect) {
    switch effect {
    case .login(let id, let place):
      attempts.append(now)
      loginsBegun += 1
      connecting.insert(id)
      if core.probe.connection == nil ? connecting.count > 1 : !core.probe.isProven {
        broken("\(id) logs in beside a scout")
      }
      if !core.isServing { broken("\(id) logs in while closing") }
      if settings.fleetTickets > 0, core.phase == .warming, core.probe.connection != nil, line.isEmpty,
        core.ageing != .opening(id), ticket == nil, core.counters.warmedWithoutTicket == 0
      {
        broken("\(id) logs in without a ticket")
      }
      // A lookout asks at other hosts: it is the room of this one that is missing.
      let isLookout = if case .elsewhere = place { true } else { false }
      if core.headroom.hold != nil, core.probe.connection != nil, !isLookout {
        broken("\(id) logs in without room")
      }
      switch server.login {
      case .answers where server.isFull(with: sessions.count + connecting.count - 1):
        schedule(.loginFailed(id, .full), after: server.loginLatency, of: id)
      case .answers:
        let host = if case .only(let host) = place { host } else { server.host }
        let event: Event =
          place.includes(host)
          ? .loggedIn(id, host: host, server: server.id(at: host), took: server.loginLatency)
          : .loginFailed(id, Fault(.wrongRole, at: .role))
        schedule(event, after: server.loginLatency, of: id)
      case .refuses(let fault): schedule(.loginFailed(id, fault), after: server.loginLatency, of: id)
      case .silent: schedule(.loginFailed(id, .loginTimedOut), after: core.settings.connectTimeout, of: id)
      }
    case .abandonLogin(let id):
      if connecting.remove(id) == nil { broken("\(id) is abandoned and was not connecting") }
      cancel(id)
    case .probe(let id):
      mustBeOpen(id, "is probed")
      switch server.queries[id] ?? server.probe {
      case .answers: schedule(.probeAnswered(id), after: server.queryLatency, of: id)
      case .fails(let fault):
        schedule(.probeFailed(id, fault, usable: true), after: server.queryLatency, of: id)
      case .ends(let fault):
        schedule(.probeFailed(id, fault, usable: false), after: server.queryLatency, of: id)
      case .silent: break
      }
    case .askRoom(let id):
      mustBeOpen(id, "is asked for room")
      roomReadings += 1
      if probeIsPending(id) { broken("\(id) is asked for room while it is probed") }
      schedule(.roomAnswered(id, nil), after: server.queryLatency, of: id)
    case .askTicket(let id):
      mustBeOpen(id, "is asked for a ticket")
      if let ticket { broken("\(ticket) has a ticket, and \(id) asks for one") }
      schedule(.ticketAnswered(id, .noneFree), after: server.queryLatency, of: id)
    case .countApp(let id):
      mustBeOpen(id, "is asked for the application")
      schedule(.appCounted(id, server.appSessions), after: server.queryLatency, of: id)
    case .returnTicket(let id):
      if ticket == id { returnTicket() }
    case .verify(let id):
      mustBeOpen(id, "is verified")
      switch server.queries[id] ?? server.emptyQuery {
      case .answers, .fails: schedule(.verified(id), after: server.queryLatency, of: id)
      case .ends(let fault): schedule(.ended(id, fault), after: server.queryLatency, of: id)
      case .silent: break
      }
    case .finish(let id):
      mustBeOpen(id, "is finished")
      let isAsked = id == core.probe.connection ? core.probe.asked != nil : core.members[id]?.state != .idle
      switch server.queries[id] ?? server.emptyQuery {
      case .silent where isAsked: break
      default: schedule(.finished(id), after: isAsked ? server.queryLatency : .zero, of: id)
      }
    case .close(let id, let reason):
      if reason == .maxLifetime || reason == .idleTimeout, core.logins.isFailing {
        broken("\(id) is closed (\(reason)) while logins fail")
      }
      if reason == .idleTimeout, core.members.current < core.floor {
        broken("\(id) is pruned below the floor")
      }
      if sessions.removeValue(forKey: id) == nil { broken("\(id) is closed and was not open") }
      if ticket == id { returnTicket() }
      dead.remove(id)
      clusters[id] = nil
      if let lease = holders.removeValue(forKey: id) { leases[lease]?.state = .cutOff }
      cancel(id)
    case .cut(let id, _):
      mustBeOpen(id, "is cut")
      if holders[id] == nil { broken("\(id) is cut and was not leased") }
      dead.insert(id)
    case .grant(let lease, let id): granted(lease, id)
    case .refuse(let lease, let why):
      if leases[lease]?.state != .waiting { broken("\(lease) is refused and did not wait") }
      leases[lease]?.state = .refused(why)
      line.removeAll { $0 == lease }
    case .leaked, .leakReturned, .breaker, .retired, .noSlots, .slotsFree, .noTicket: break
    case .drained, .drainTakenBack, .resumed, .resumeRefused, .transition, .fault, .loginsWork: break
    }
  }

  private func granted(_ lease: LeaseID, _ id: ConnectionID) {
    mustBeOpen(id, "is granted")
    if !core.isServing { broken("\(lease) is granted while closing") }
    if leases[lease]?.state != .waiting { broken("\(lease) is granted and did not wait") }
    if let entry = leases[lease], entry.deadline <= now, entry.since < now {
      broken("\(lease) is granted too late")
    }
    if line.first != lease { broken("\(lease) is granted before \(line.first.map(\.description) ?? "?")") }
    if holders[id] != nil { broken("\(id) is granted twice") }
    line.removeAll { $0 == lease }
    leases[lease]?.state = .granted(id)
    leases[lease]?.grantedAt = now
    holders[id] = lease
  }

  private func probeIsPending(_ id: ConnectionID) -> Bool {
    pending.contains {
      switch $0.event {
      case .probeAnswered(id), .probeFailed(id, _, _): true
      default: false
      }
    }
  }

  private func mustBeOpen(_ id: ConnectionID, _ what: String) {
    if sessions[id] == nil || dead.contains(id) { broken("\(id) \(what) and is not open") }
  }

  private func schedule(_ event: Event, after delay: Duration, of id: ConnectionID) {
    orders += 1
    let entry = Pending(at: now + delay, order: orders, event: event, connection: id)
    // Latest first: the next is at the end.
    let index = pending.firstIndex { ($0.at, $0.order) < (entry.at, entry.order) } ?? pending.endIndex
    pending.insert(entry, at: index)
  }

  /// Starts the record anew: what happened so far was the preparation.
  func clearLog() {
    log = []
    attempts = []
  }

  private func cancel(_ id: ConnectionID) { pending.removeAll { $0.connection == id } }
}

// MARK: - What tests ask

extension VirtualPool {
  var settings: PoolSettings { core.settings }
  var snapshot: Snapshot { core.snapshot(at: now) }
  var phase: Snapshot.Phase { core.phase }
  var verdict: Verdict { snapshot.verdict(at: now) }
  var isReady: Bool { verdict.isReady }
  var reasons: [Reason] { verdict.reasons }
  var isDegraded: Bool { verdict.isDegraded }
  var open: Int { sessions.count }

  func state(_ lease: LeaseID) -> Lease.State? { leases[lease]?.state }

  func connection(of lease: LeaseID) -> ConnectionID? {
    if case .granted(let id) = leases[lease]?.state { id } else { nil }
  }

  /// The probe's own connection.
  var reserved: ConnectionID? { core.probe.connection }
  /// Idle ones, the one used last at the end.
  var idle: [ConnectionID] { core.members.idle }

  func times(_ matches: (Effect) -> Bool) -> [Instant] { log.filter { matches($0.effect) }.map(\.at) }

  var probes: [(at: Instant, id: ConnectionID)] {
    log.compactMap { if case .probe(let id) = $0.effect { ($0.at, id) } else { nil } }
  }

  /// Where they were begun.
  var logins: [LoginPlace] {
    log.compactMap { if case .login(_, let place) = $0.effect { place } else { nil } }
  }

  var verified: [ConnectionID] {
    log.compactMap { if case .verify(let id) = $0.effect { id } else { nil } }
  }

  var closes: [(at: Instant, id: ConnectionID, reason: CloseReason)] {
    log.compactMap { if case .close(let id, let reason) = $0.effect { ($0.at, id, reason) } else { nil } }
  }

  var transitions: [Transition] {
    log.compactMap { if case .transition(let transition) = $0.effect { transition } else { nil } }
  }

  var drains: [DrainProgress] {
    log.compactMap { if case .drained(let progress) = $0.effect { progress } else { nil } }
  }

  var lostReadiness: Bool { transitions.contains { $0.from == .ready && $0.to != .ready } }
}

/// The tickets of a fleet.
final class VirtualTickets {
  var free: Int

  init(_ count: Int) { free = count }
}
