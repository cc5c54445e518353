/// Asking the database. One connection is the probe's own. When it fails, a second witness is asked at once: an idle
/// connection if there is one, otherwise a scout login. What decides readiness is counted here, judged elsewhere.
extension PoolCore {
  /// After a failed probe the next one follows at most this much later.
  static let retryProbeAfter: Duration = .milliseconds(250)

  /// Takes an idle connection for the probe if it has none, and sees to it that the next question is scheduled.
  mutating func considerProbe(at now: Instant) {
    guard isServing else {
      alarms.probe = nil
      alarms.probeDeadline = nil
      alarms.witnessLate = nil
      probe.missingSince = nil
      return
    }
    if probe.connection == nil, let witness = members.idle.last { reserve(witness, at: now) }
    if probe.connection == nil { awaitWitness(at: now) }
  }

  /// Nothing to ask on: a login is the witness, and if it may not start yet, time passes all the same. A probe that
  /// was silent for its timeout, and nobody to confirm it for two more, is as long as an instance may still be
  /// called ready.
  private mutating func awaitWitness(at now: Instant) {
    if firstReady != nil, probe.missingSince == nil {
      probe.missingSince = now
      // A scout that is still under way from before is the witness once more.
      let scouting = probe.scout != nil
      probe.scout?.isCounted = false
      alarms.witnessLate = now + settings.probeTimeout + (scouting ? .zero : settings.probeTimeout)
    }
    if probe.scout == nil, members.connecting > 0,
      let login = members.all.first(where: { $0.member.state == .connecting })?.id
    {
      scoutStarted(login, at: now)
    }
  }

  /// Connections are open and of use: anything but drained, and closing.
  var isServing: Bool {
    switch phase {
    case .starting, .warming, .ready, .unready: true
    case .draining: drain?.stage == .lameDuck
    case .drained: false
    }
  }

  /// Makes an open connection the probe's own, and asks it at once.
  mutating func reserve(_ id: ConnectionID, at now: Instant) {
    // What is not the probe's any more may be lent next.
    giveTicketBack(besides: id)
    members.move(id, to: .reserved, at: now)
    probe.connection = id
    probe.missingSince = nil
    alarms.witnessLate = nil
    askProbe(at: now)
  }

  /// `doubted`: something suggests that there will be no answer. A question under way will do.
  mutating func askProbe(doubted: Bool = false, at now: Instant) {
    guard isServing, let id = probe.connection else { return }
    if doubted, probe.doubt == .none { probe.doubt = .suspected }
    guard probe.asked == nil else { return }
    probe.asked = now
    alarms.probe = nil
    alarms.probeDeadline = now + settings.probeTimeout
    effects.append(.probe(id))
  }

  mutating func probeAnswered(_ id: ConnectionID, at now: Instant) {
    guard probe.connection == id, let asked = probe.asked else { return }
    probe.asked = nil
    endDoubt()
    alarms.probeDeadline = nil
    // The process was frozen or the loop stuck: nobody knows from when this answer is.
    if now - asked > settings.probeTimeout { return askProbe(at: now) }
    probe.isProven = true
    members.update(id) { $0.doubt = .none }
    cutSilentServer(answeredBy: id, at: now)
    logins.proven(at: now)
    shutdownSigns.probeAnswered()
    breaker.probeAnswered()
    probe.report.last = .init(at: now, took: now - asked)
    probe.report.lastGood = now
    probe.report.failuresInRow = 0
    probe.report.successesInRow += 1
    counters.probesSucceeded += 1
    timings.probes.add(from: asked, to: now)
    let enough = probe.report.successesInRow >= settings.rise
    alarms.probe = enough ? asked + settings.probeInterval : now + Self.retryProbeAfter
    advanceAgeing(at: now)
  }

  mutating func probeFailed(_ id: ConnectionID, _ fault: Fault, usable: Bool, at now: Instant) {
    guard probe.connection == id, let asked = probe.asked else { return }
    guard usable else { return ended(id, fault, at: now) }
    probe.asked = nil
    endDoubt()
    alarms.probeDeadline = nil
    count(fault, took: now - asked, at: now)
    members.update(id) { $0.doubt = .none }
    if retiresGeneration(fault) { return retireGeneration(.retired, because: fault, at: now) }
    // The connection works, the question does not: ask it of another one, or again, but do not log in for it.
    if probe.report.failuresInRow == 1, let witness = members.idle.last {
      reserve(witness, at: now)
      return makeIdle(id, at: now)
    }
    let wait = Self.retryProbeAfter.scaled(by: Double(1 << min(max(probe.report.failuresInRow - 1, 0), 16)))
    alarms.probe = now + min(wait, settings.probeInterval)
  }

  /// The probe was answered, or nothing is asked any more: the login that was to find a primary elsewhere is not needed.
  private mutating func endDoubt() {
    if case .lookingOut(let id) = probe.doubt, members[id]?.state == .connecting {
      members.remove(id)
      counters.loginsAbandoned += 1
      effects.append(.abandonLogin(id))
    }
    probe.doubt = .none
  }

  mutating func probeTimedOut(at now: Instant) {
    guard let id = probe.connection, let asked = probe.asked else { return }
    let fault = Fault(.timedOut, at: .probe)
    count(fault, took: now - asked, at: now)
    let isSibling = members[id]?.doubt == .suspect
    close(id, .silent)
    // A second silent one is no accident of a single connection.
    if probe.report.failuresInRow >= 2 || isSibling {
      retireGeneration(.silent, because: fault, at: now)
    } else if !probe.isProven {
      sessionsLost(fault, at: now)
    }
  }

  /// The scout is the witness: it counts as failed when it takes longer than a probe may, and is left to run.
  mutating func scoutStarted(_ id: ConnectionID, at now: Instant) {
    probe.scout = Probe.Scout(id: id)
    probe.isProven = false
    guard firstReady != nil else { return }
    let late = now + settings.probeTimeout
    alarms.witnessLate = alarms.witnessLate.map { min($0, late) } ?? late
  }

  mutating func witnessIsLate(at now: Instant) {
    guard probe.connection == nil else { return }
    if probe.scout != nil {
      probe.scout?.isCounted = true
    } else if provesNothing(logins.isFailing ? logins.report.lastFault : nil) {
      return
    }
    let words = probe.scout == nil ? "no connection to ask on" : "a new login took too long"
    count(Fault(.timedOut, at: .probe, message: words), took: settings.probeTimeout, at: now)
  }

  /// A full server is a living one, while leases of ours show that it serves.
  private func provesNothing(_ fault: Fault?) -> Bool {
    fault?.sqlState == .tooManyConnections && members.working > 0
  }

  mutating func witnessArrived(_ id: ConnectionID) {
    guard probe.scout?.id == id else { return }
    probe.scout = nil
    alarms.witnessLate = nil
  }

  mutating func witnessFailed(_ id: ConnectionID, _ fault: Fault, at now: Instant) {
    guard let scout = probe.scout, scout.id == id else { return }
    witnessArrived(id)
    guard probe.connection == nil else { return }
    if provesNothing(fault) { return }
    if scout.isCounted {
      // The same attempt, with a better reason than "late".
      probe.report.last?.fault = fault
      probe.lastFault = fault
    } else {
      count(fault, took: .zero, isRecorded: true, at: now)
    }
  }

  /// One more failed probe. `isRecorded`: its fault has been kept already, as that of a login.
  mutating func count(_ fault: Fault, took: Duration, isRecorded: Bool = false, at now: Instant) {
    probe.report.last = .init(at: now, took: took, fault: fault)
    probe.report.failuresInRow += 1
    probe.report.successesInRow = 0
    probe.lastFault = fault
    counters.probesFailed += 1
    if !isRecorded { record(fault, during: .probe, at: now) }
  }

  /// The probe's connection is gone.
  mutating func probeConnectionGone() {
    probe.connection = nil
    probe.asked = nil
    endDoubt()
    alarms.probe = nil
    alarms.probeDeadline = nil
  }
}
