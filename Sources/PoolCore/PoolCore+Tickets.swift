/// Tickets (`fleetTickets`): so many instances of a fleet may warm at the same moment. They are advisory locks of the
/// database, so PostgreSQL is the coordinator, and one that is lost with its instance is free again with its session.
///
/// A ticket is for what a start needs besides the scout, and for nothing else: callers that wait, and a pool that was
/// ready and has lost its connections, need none. Anybody may take those locks and keep them, so nobody waits for one
/// longer than a minute.
extension PoolCore {
  /// A ticket is kept no longer than this: an instance that is slow then asks again, after the others.
  static let ticketTime: Duration = .seconds(10)
  /// So long one waits at most; up to a quarter less, so that not all who began together stop waiting together.
  static let ticketPatience: Duration = .seconds(60)
  /// From one question to the next, at random from zero to this; doubled each time, up to two seconds.
  static let ticketPace = RetryPace.backOff(base: .milliseconds(100), cap: .seconds(2))

  /// The application has so long to open its sessions, from when the pool is warm.
  static let appTime: Duration = .seconds(60)
  /// From one count of them to the next.
  static let appInterval: Duration = .seconds(1)

  /// Connections for the floor may be opened.
  @inline(__always) var mayWarm: Bool {
    guard settings.fleetTickets > 0, phase == .warming else { return true }
    switch tickets.state {
    // The room is read first: with few who warm at a time, what it says is nearly true.
    case .held: return headroom.asked == nil
    case .without: return true
    case .none, .asking: return false
    }
  }

  /// A ticket is asked for, waited for or held.
  public var wantsTicket: Bool {
    switch tickets.state {
    case .asking, .held: true
    case .none: tickets.wantedSince != nil && headroom.hold == nil
    case .without: false
    }
  }

  /// After every event.
  mutating func considerTicket(at now: Instant) {
    guard settings.fleetTickets > 0, !waitsForApp(at: now) else { return }
    let isWarming = isServing && phase == .warming
    // One that is there is kept for the application. While there is no room, nobody waits for one.
    let isOfUse = members.current < floor || settings.holdForApp > 0 && tickets.isHeld
    let isWanted = isWarming && isOfUse && headroom.hold == nil
    if case .held(let id, let until) = tickets.state, !isWanted || now >= until || probe.connection != id {
      giveTicketBack(id)
      // Whoever had one for all its time, and is not warm, asks again as one who has just come.
      tickets.misses = 0
      alarms.ticket = now + Self.ticketPace.delay(failures: 1, failingFor: .zero, random: &random)
    }
    if case .asking(let id) = tickets.state, probe.connection != id { tickets.state = .none }
    if case .without = tickets.state, !isWarming { tickets.state = .none }
    guard isWanted else {
      (tickets.wantedSince, tickets.patienceEnds, tickets.misses, tickets.forApp) = (nil, nil, 0, nil)
      alarms.ticket = nil
      return
    }
    if tickets.state == .none, let id = probe.connection, probe.isProven { wantTicket(on: id, at: now) }
  }

  private mutating func wantTicket(on id: ConnectionID, at now: Instant) {
    let patienceEnds =
      tickets.patienceEnds ?? now + Self.ticketPatience.scaled(by: 1 - 0.25 * random.fraction())
    (tickets.wantedSince, tickets.patienceEnds) = (tickets.wantedSince ?? now, patienceEnds)
    if now >= patienceEnds { return warmWithout(.waitedTooLong) }
    if let next = alarms.ticket, next > now { return }
    // Between two other questions: the connection takes one at a time.
    guard probe.asked == nil, headroom.asked == nil else { return }
    tickets.state = .asking(id)
    alarms.ticket = nil
    effects.append(.askTicket(id))
  }

  mutating func ticketAnswered(_ id: ConnectionID, _ answer: TicketAnswer, at now: Instant) {
    guard tickets.state == .asking(id) else {
      // It is not wanted any more, or another connection asks by now.
      if answer == .granted { effects.append(.returnTicket(id)) }
      return
    }
    switch answer {
    case .granted:
      tickets.state = .held(id, until: now + Self.ticketTime)
      tickets.misses = 0
      alarms.ticket = now + Self.ticketTime
      // What was read before may be long ago, and others have warmed since.
      headroom.wasAsked = false
    case .noneFree:
      tickets.state = .none
      tickets.misses += 1
      let wait = Self.ticketPace.delay(failures: tickets.misses, failingFor: .zero, random: &random)
      alarms.ticket = min(now + wait, tickets.patienceEnds ?? .distantFuture)
    case .unavailable(let why): warmWithout(.unavailable(why))
    }
  }

  /// The ticket goes on to admit the application's own sessions, which the pool's readiness lets it open.
  private mutating func waitsForApp(at now: Instant) -> Bool {
    guard phase == .ready, settings.holdForApp > 0, case .held(let id, _) = tickets.state,
      probe.connection == id
    else { return false }
    var wait = tickets.forApp ?? Tickets.ForApp(until: now + Self.appTime)
    guard wait.sessions < settings.holdForApp, now < wait.until else { return false }
    if tickets.forApp == nil { alarms.ticket = now }
    if !wait.isAsked, probe.asked == nil, alarms.ticket.map({ $0 <= now }) ?? true {
      wait.isAsked = true
      alarms.ticket = wait.until
      effects.append(.countApp(id))
    }
    tickets.forApp = wait
    return true
  }

  mutating func appCounted(_ id: ConnectionID, _ count: Int?, at now: Instant) {
    guard case .held(let holder, _) = tickets.state, holder == id, tickets.forApp?.isAsked == true else {
      return
    }
    tickets.forApp?.isAsked = false
    // Where they cannot be told from others, nobody is kept waiting for them.
    tickets.forApp?.sessions = count ?? settings.holdForApp
    if let until = tickets.forApp?.until { alarms.ticket = min(now + Self.appInterval, until) }
  }

  private mutating func warmWithout(_ why: Tickets.WhyWithout) {
    tickets.state = .without(why)
    alarms.ticket = nil
    counters.warmedWithoutTicket += 1
    effects.append(.noTicket(ticketReport))
  }

  private mutating func giveTicketBack(_ id: ConnectionID) {
    tickets.state = .none
    effects.append(.returnTicket(id))
  }

  /// The ticket is with the probe's connection, or with none.
  mutating func giveTicketBack(besides id: ConnectionID) {
    if case .held(let holder, _) = tickets.state, holder != id { giveTicketBack(holder) }
  }

  var ticketReport: TicketReport {
    let state: TicketReport.State =
      switch tickets.state {
      case .none: tickets.wantedSince == nil ? .notNeeded : .waiting
      case .asking: .waiting
      case .held(_, let until):
        tickets.forApp.map { .heldForApp(sessions: $0.sessions, until: $0.until) } ?? .held(until: until)
      case .without(.waitedTooLong): .waitedTooLong
      case .without(.unavailable(let why)): .unavailable(why)
      }
    return TicketReport(tickets: settings.fleetTickets, state: state, wantedSince: tickets.wantedSince)
  }

  /// Nothing but a ticket is missing.
  var waitsForTicket: Bool {
    guard settings.fleetTickets > 0, !logins.isFailing, probe.isProven else { return false }
    return ticketReport.state == .waiting
  }
}
