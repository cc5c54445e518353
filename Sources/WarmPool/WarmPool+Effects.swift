import EventLoop
import PoolCore
import Postgres

/// Telling the core what happened, and carrying out what it answers.
extension WarmPool {
  /// The loop beats this often; `/live`, and whether a snapshot can be trusted, rest on it.
  static let beat: Duration = .milliseconds(500)

  func begin() {
    loop.onTurnEnd = { self.synchronously.publishIfNeeded() }
    handle(.begin)
    scheduleBeat()
  }

  /// After the end: lets go of the loop, which would otherwise keep the pool alive.
  func stop() {
    publish(at: EventLoop.now())
    loop.onTurnEnd = nil
    if let wake { loop.cancel(wake.token) }
    if let nextBeat { loop.cancel(nextBeat) }
    (wake, nextBeat) = (nil, nil)
  }

  func handle(_ event: Event) { handle(event, at: EventLoop.now()) }

  func handle(_ event: Event, at now: Instant) {
    var effects: [Effect] = []
    swap(&effects, &self.effects)
    core.handle(event, at: now, into: &effects)
    // What it says of itself is out before anything follows from it: a drain says "not ready" before it closes a
    // connection, and "closing" before it refuses a caller.
    if core.phase == .draining || effects.contains(where: \.isTransition) { publish(at: now) }
    needsPublishing = true
    for effect in effects { carryOut(effect) }
    swap(&effects, &self.effects)
    while let (lease, id) = unquiet.popLast() { grantIfStanding(lease, id) }
    askForCallers()
    if ticketSession != nil, !core.wantsTicket { endTicketSession() }
    wakePhaseWaiters()
    sendAwayIfInDoubt()
    scheduleWake()
  }

  private func carryOut(_ effect: Effect) {
    switch effect {
    case .login(let id, let place): login(id, at: place)
    case .abandonLogin(let id): logins.removeValue(forKey: id)?.cancel()
    case .probe(let id): ask(id)
    case .askRoom(let id): askRoom(id)
    case .askTicket(let id): askTicket(id)
    case .returnTicket(let id): returnTicket(id)
    case .countApp(let id): countApp(id)
    case .verify(let id): verify(id)
    case .finish(let id): finish(id)
    case .close(let id, let reason): close(id, reason)
    case .cut(let id, let fault): connections[id]?.connection.assumeIsolated { $0.cut(because: fault) }
    case .grant(let lease, let id): grant(lease, id)
    case .refuse(let lease, let why): refuse(lease, why)
    case .leaked(let lease, let id, let held):
      leakSites[lease] = connections[id]?.acquired?.site
      tell?(.leaked(lease, id, held: held, site: leakSites[lease]))
    case .leakReturned(let lease, let id, let held):
      tell?(.leakReturned(lease, id, held: held, site: leakSites.removeValue(forKey: lease)))
    case .breaker(let report, let from): tell?(.breaker(report, from: from))
    case .drained(let progress):
      for waiter in drainWaiters.values { waiter.resume(returning: progress) }
      drainWaiters.removeAll()
    case .drainTakenBack:
      let error = PoolError(.drainTakenBack, pool: core.snapshot(at: EventLoop.now()).pool)
      for waiter in drainWaiters.values { waiter.resume(throwing: error) }
      drainWaiters.removeAll()
    case .resumed: break
    case .resumeRefused(let why): resumeRefusal = why
    case .retired(let retirement): tell?(.retired(retirement))
    case .transition(let transition): tell?(.transition(transition))
    case .noSlots(let room, let needed): tell?(.noSlots(room, needed: needed))
    case .slotsFree: tell?(.slotsFree)
    case .noTicket(let report): tell?(.noTicket(report))
    case .fault(let fault, let context): tell?(.fault(fault, during: context))
    case .loginsWork(let failures): tell?(.loginsWork(after: failures))
    }
  }

  // MARK: - Connections

  /// A task that stays on the loop. Without the preference, everything it waits for would resume it on Swift's shared
  /// threads first, which would be started for that alone, and come from there to the loop.
  @discardableResult
  func onLoop(_ work: @escaping @Sendable (isolated WarmPool) async -> Void) -> Task<Void, Never> {
    Task(executorPreference: executor) { await work(self) }
  }

  private func login(_ id: ConnectionID, at place: LoginPlace) {
    // What the file is before this login reads it: a change from here on is news.
    _ = passwordWatch?.hasChanged()
    logins[id] = onLoop { pool in
      do throws(Fault) {
        if let refusal = pool.standby?.loginRefusal() { throw refusal }
        let connection = try await pool.connector.login(at: place)
        pool.arrived(id, connection, at: try await pool.server(of: connection))
      } catch {
        guard pool.logins.removeValue(forKey: id) != nil else { return }
        pool.handle(.loginFailed(id, error))
      }
    }
  }

  /// One question, as part of the login. Where it is not answered, only scouts ask: an error at every login would fill
  /// the server's log.
  private func server(of connection: Connection) async throws(Fault) -> ServerID? {
    if clusterHidden != nil, core.probeConnection != nil { return nil }
    let late = Lateness()
    let timer = loop.schedule(at: EventLoop.now() + ServerQuestion.patience) {
      late.isLate = true
      connection.assumeIsolated { $0.close() }
    }
    let answer = await ServerQuestion.ask(connection)
    loop.cancel(timer)
    if late.isLate { throw Fault(.timedOut, at: .session, host: connection.hostLabel) }
    switch answer {
    case .none: return nil
    case .known(let server):
      clusterHidden = nil
      return server
    case .hidden(let fault):
      if clusterHidden?.kind != fault.kind { tell?(.clusterHidden(fault)) }
      clusterHidden = fault
      return nil
    }
  }

  private func arrived(_ id: ConnectionID, _ connection: Connection, at server: ServerID?) {
    guard logins.removeValue(forKey: id) != nil else {
      // It was abandoned while the answer was on its way.
      connection.assumeIsolated { $0.close() }
      return
    }
    connections[id] = PooledConnection(id, connection, of: self)
    let ended: @Sendable (Fault) -> Void = { fault in self.assumeIsolated { $0.ended(id, fault) } }
    connection.assumeIsolated { $0.onEnd(ended) }
    tell?(
      .connected(
        id, host: connection.hostLabel, backendPID: connection.backendPID, took: connection.loginTook))
    handle(.loggedIn(id, host: connection.host, server: server, took: connection.loginTook))
  }

  private func ended(_ id: ConnectionID, _ fault: Fault) {
    // While a question is under way, its own failure says the same, once.
    guard connections[id] != nil, questions[id] == nil else { return }
    handle(.ended(id, fault))
  }

  private func ask(_ id: ConnectionID) {
    guard let connection = connections[id]?.connection else { return }
    questions[id] = onLoop { pool in
      await pool.asideAnswered(on: connection)
      let answer = await pool.question.ask(connection)
      guard pool.connections[id]?.connection === connection else { return }
      pool.questions[id] = nil
      switch answer {
      case .good:
        pool.handle(.probeAnswered(id))
        pool.askForSessions(id)
      case .bad(let fault, let usable):
        pool.handle(.probeFailed(id, fault, usable: usable))
        if fault.kind == .wrongRole { pool.standby?.wasPromoted() }
      }
    }
  }

  private func verify(_ id: ConnectionID) {
    guard let connection = connections[id]?.connection else { return }
    questions[id] = onLoop { pool in
      var failure: Fault?
      await pool.asideAnswered(on: connection)
      do throws(QueryError) { try await connection.ping() } catch { failure = error.fault }
      guard pool.connections[id]?.connection === connection else { return }
      pool.questions[id] = nil
      pool.handle(failure.map { .ended(id, $0) } ?? .verified(id))
    }
  }

  private func finish(_ id: ConnectionID) {
    guard let connection = connections[id]?.connection else { return }
    let question = questions[id]
    onLoop { pool in
      await question?.value
      await pool.asideAnswered(on: connection)
      pool.handle(.finished(id))
    }
  }

  private func close(_ id: ConnectionID, _ reason: CloseReason) {
    questions.removeValue(forKey: id)?.cancel()
    guard let connection = connections.removeValue(forKey: id)?.connection else { return }
    if reason == .silent { connector.fellSilent(connection.host) }
    connection.assumeIsolated { $0.close() }
    tell?(.closed(id, reason))
  }

  private func grant(_ lease: LeaseID, _ id: ConnectionID) {
    // One that is handed on at once has just been read. What another has to say is read when all that follows from
    // the present event is done.
    if let handedBack, handedBack.id == id {
      return lend(handedBack, to: acquiring.remove(lease))
    }
    guard let pooled = connections[id] else {
      acquiring.remove(lease)?.refuse(
        PoolError(.ended, pool: core.snapshot(at: EventLoop.now()).pool))
      return
    }
    if aside?.connection === pooled.connection { return grantOnceFree(lease, pooled) }
    guard pooled.connection.assumeIsolated({ $0.isQuiet }) else { return unquiet.append((lease, id)) }
    lend(pooled, to: acquiring.remove(lease))
  }

  private func lend(_ pooled: PooledConnection, to caller: Acquisition?) {
    pooled.acquired = caller
    guard let caller else { return }
    if caller.hasStatement { toAsk.append(pooled) } else { caller.grant(pooled) }
  }

  /// It was the probe's a moment ago, and a question is under way on it still.
  private func grantOnceFree(_ lease: LeaseID, _ pooled: PooledConnection) {
    guard let caller = acquiring.remove(lease) else { return }
    // It waits in no queue any more: a cancellation finds it by its connection.
    pooled.acquired = caller
    onLoop { pool in
      await pool.asideAnswered(on: pooled.connection)
      pool.lend(pooled, to: caller)
      pool.askForCallers()
    }
  }

  /// A connection that has something to read where nothing was asked: mostly it has ended. Then the lease gets another
  /// one, in its place and within its time.
  private func grantIfStanding(_ lease: LeaseID, _ id: ConnectionID) {
    guard let caller = acquiring[lease] else { return }
    if let pooled = connections[id], pooled.connection.assumeIsolated({ $0.isStanding() }) {
      lend(pooled, to: acquiring.remove(lease))
    } else {
      handle(.exchange(lease, id, Fault(.closed, at: .idle), deadline: caller.deadline))
    }
  }

  private func refuse(_ lease: LeaseID, _ why: AcquireRefusal) {
    guard let caller = acquiring.remove(lease) else { return }
    let snapshot = core.snapshot(at: EventLoop.now())
    let fault = snapshot.login.isFailing ? snapshot.login.lastFault : snapshot.probe.last?.fault
    caller.refuse(PoolError(.acquire(why), fault: fault, pool: snapshot.pool))
  }

  // MARK: - Time

  /// Keeps one timer at the core's next wake. A timer that is too early is left alone: waking once more than needed
  /// is cheaper than moving it with every event.
  private func scheduleWake() {
    guard let next = core.nextWake else { return }
    if let wake, wake.at <= next { return }
    if let wake { loop.cancel(wake.token) }
    let token = loop.schedule(at: next) {
      self.assumeIsolated {
        $0.wake = nil
        $0.handle(.wake)
      }
    }
    wake = (next, token)
  }

  private func scheduleBeat() {
    nextBeat = loop.schedule(at: EventLoop.now() + Self.beat) {
      self.assumeIsolated { pool in
        pool.watchPassword()
        pool.listenForSilence()
        pool.askWhoNoticed()
        pool.publish(at: EventLoop.now())
        pool.scheduleBeat()
      }
    }
  }

  /// While logins fail for want of the right password, a changed password file is noticed within a beat.
  private func watchPassword() {
    guard core.loginReport.isFailing else { return }
    switch core.loginReport.lastFault?.kind {
    case .server(.invalidPassword), .server(.invalidAuthorization), .passwordMissing, .misconfigured:
      if passwordWatch?.hasChanged() == true { handle(.credentialsChanged) }
    default: break
    }
  }

  private func askWhoNoticed() {
    guard core.phase == .draining, let told = configuration.probersTold, told() else { return }
    handle(.probersTold)
  }

  // MARK: - Publishing

  func publishIfNeeded() {
    if needsPublishing { publish(at: EventLoop.now()) }
  }

  func publish(at now: Instant) {
    needsPublishing = false
    var snapshot = core.snapshot(at: now)
    snapshot.sessionLeaks = sessionWatch.report
    snapshot.clusterHidden = clusterHidden
    snapshot.roomHidden = roomHidden
    for index in snapshot.leaks.indices {
      snapshot.leaks[index].site = leakSites[snapshot.leaks[index].lease]?.description
    }
    history.note(snapshot)
    snapshot.history = history
    published.withLock { $0.snapshot = snapshot }
  }
}

/// `@unchecked Sendable`: touched on the loop alone.
private final class Lateness: @unchecked Sendable {
  var isLate = false
}
