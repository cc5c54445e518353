/// Phases and what is said in them: ready needs the floor and an answered probe the first time, an answered probe
/// afterwards; unready needs `fall` failures in a row, or no connection left and a refused login.
extension PoolCore {
  /// Ready by policy although no connection answers the probe.
  struct Held: Sendable {
    var since: Instant
    /// Nil: without limit.
    var until: Instant?
    var fault: Fault
    /// Since when there has been silence or refusal rather than words.
    var silentSince: Instant?
  }

  /// `stay` holds through silence and refusal no longer than this.
  static let staysThroughSilence: Duration = .seconds(30)

  /// Follows the probe's results with the phase.
  mutating func judge(at now: Instant) {
    switch phase {
    case .starting, .draining, .drained: return
    case .warming:
      if members.current >= floor, probe.report.successesInRow >= settings.rise {
        enter(.ready, at: now)
      }
    case .unready:
      if probe.report.successesInRow >= settings.rise { enter(.ready, at: now) }
    case .ready:
      if probe.report.failuresInRow == 0 { held = nil }
      // Lost is lost until a probe is answered: a login that works is not enough to end what is held.
      if let fault = lostFault ?? held?.fault, !hold(fault, at: now) { enter(.unready, at: now) }
    }
    alarms.hold = phase == .ready ? held?.until : nil
  }

  /// Why no connection can be said to answer the probe; nil while one can.
  @inline(__always) private var lostFault: Fault? {
    guard let fault = probe.report.last?.fault else { return nil }
    let isRefused = members.working == 0 && logins.isFailing
    return probe.report.failuresInRow >= settings.fall || isRefused ? fault : nil
  }

  /// Whether the policy keeps a lost instance ready. What the server itself says, every instance sees: taking this
  /// one out of rotation helps nobody. For `hold`, a refusal after such words is that same shutdown.
  private mutating func hold(_ fault: Fault, at now: Instant) -> Bool {
    let isSilence: Bool =
      switch fault.kind {
      case .timedOut, .refused, .closed, .unreachable: true
      default: false
      }
    var next = held ?? Held(since: now, fault: fault)
    next.fault = fault
    next.silentSince = isSilence ? next.silentSince ?? now : nil
    switch settings.whenDatabaseLost {
    case .unready: return false
    case .hold(let time):
      guard fault.isShared || isSilence && serverNamedTheCause else { return false }
      next.until = next.since + time
    case .stay:
      guard fault.isShared || isSilence else { return false }
      next.until = next.silentSince.map { $0 + Self.staysThroughSilence }
    }
    if let until = next.until, until <= now { return false }
    held = next
    return true
  }

  /// Since the last good probe.
  private var serverNamedTheCause: Bool {
    let since = probe.report.lastGood ?? started
    return faults.contains { $0.fault.isShared && $0.last >= since }
  }

  mutating func enter(_ next: Snapshot.Phase, at now: Instant) {
    guard next != phase else { return }
    let previous = phase
    phase = next
    phaseSince = now
    if next != .ready { held = nil }
    if next == .ready {
      if firstReady == nil { firstReady = now }
      counters.readyTransitions += 1
    } else if previous == .ready {
      counters.readyTransitions += 1
    }
    announce(from: previous, at: now)
  }

  /// A ready instance that becomes degraded, is held by policy from then on, or becomes whole again, is a transition
  /// too.
  mutating func noteDegradation(at now: Instant) {
    guard phase == .ready, isDegraded != lastDegraded || (held != nil) != lastHeld else { return }
    announce(from: phase, at: now)
  }

  private mutating func announce(from previous: Snapshot.Phase, at now: Instant) {
    lastDegraded = isDegraded
    lastHeld = held != nil
    let transition = Transition(
      at: now, from: previous, to: phase, degraded: lastDegraded,
      reasons: phase == .ready ? degraded : reasons)
    if timeline.count >= 100 { timeline.removeFirst() }
    timeline.append(transition)
    effects.append(.transition(transition))
  }

  /// Connections are lent, the last question was answered, and nothing since makes that doubtful. Who has another
  /// pool to go to does not wait here without it.
  public var isTrusted: Bool {
    guard probe.isProven, probe.report.failuresInRow == 0 else { return false }
    return phase == .ready || phase == .draining && drain?.stage == .lameDuck
  }

  /// Why it is not ready.
  var reasons: [Reason] {
    switch phase {
    case .starting: return [.starting]
    case .ready: return []
    case .draining: return [.draining]
    case .drained: return [.drained]
    case .warming:
      if let noSlots { return [noSlots] }
      if waitsForTicket {
        let (min, tickets) = (settings.minConnections, settings.fleetTickets)
        return [.noTicket(open: members.current, min: min, tickets: tickets)]
      }
      let fault = probe.report.failuresInRow > 0 ? probe.report.last?.fault : nil
      let because = logins.isFailing ? logins.report.lastFault : fault
      return [.warming(open: members.current, min: settings.minConnections, because: because)]
    case .unready:
      let fault = probe.lastFault ?? Fault(.other, at: .probe)
      return [members.working == 0 ? .databaseLost(fault) : .probeFailed(fault)]
    }
  }

  /// Ready, and something is wrong all the same. The same conditions as `degraded`, without making the list.
  @inline(__always) private var isDegraded: Bool {
    phase == .ready && (held != nil || logins.isFailing || members.current < settings.minConnections)
  }

  /// What is wrong although it is ready.
  var degraded: [Reason] {
    guard phase == .ready else { return [] }
    var list: [Reason] = []
    if let held { list.append(.held(held.fault)) }
    if let noSlots {
      list.append(noSlots)
    } else if logins.isFailing, let fault = logins.report.lastFault {
      list.append(.loginFailing(fault))
    }
    if let instances = headroom.share.flatMap({ _ in headroom.reading?.fleet?.instances }) {
      list.append(.sharing(open: members.current, min: settings.minConnections, instances: instances))
    } else if members.current < settings.minConnections {
      list.append(.belowFloor(open: members.current, min: settings.minConnections))
    }
    return list
  }
}
