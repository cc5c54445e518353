/// Connections grow old. They are replaced one at a time, each at its own moment, the new one opened before the old
/// one is closed where the ceiling allows it. While logins fail, or the probe is in doubt, nothing that works is
/// closed for its age. Neither is the only connection that a ceiling of one allows: whether another login would work
/// could be learned only by giving up readiness.
extension PoolCore {
  /// One replacement of a connection that has outlived `maxLifetime`. Which one it replaces is decided last: one
  /// that is in use for hours must not keep the others from being replaced.
  enum Ageing: Hashable, Sendable {
    /// → due
    case none
    /// One is too old. → opening, if the ceiling leaves room; otherwise none, once one could be closed
    case due
    /// The login of its successor is under way. → opened, none (failed)
    case opening(ConnectionID)
    /// The next one that is too old and free is closed. → none
    case opened(ConnectionID)

    var successor: ConnectionID? {
      switch self {
      case .none, .due: nil
      case .opening(let id), .opened(let id): id
      }
    }
  }

  /// No faster than this: the load that made the pool grow may come back.
  static let pruneEvery: Duration = .seconds(10)

  /// Sees to it that upkeep looks no later than this. Looking too early does no harm, so nothing needs to be taken
  /// back when a connection is closed or used.
  mutating func wakeForUpkeep(by time: Instant) {
    alarms.upkeep = alarms.upkeep.map { min($0, time) } ?? time
  }

  mutating func newSpread() -> Double { 0.8 + 0.4 * random.fraction() }

  /// A new connection: from now on it may have to be asked, pruned or replaced.
  mutating func beginUpkeep(of id: ConnectionID) {
    guard let member = members[id] else { return }
    wakeForUpkeep(by: min(member.expires, keepAlive(of: member), idleUntil(of: member)))
  }

  mutating func upkeep(at now: Instant) {
    guard isServing else { return }
    for id in members.idle.reversed() where members[id].map({ keepAlive(of: $0) <= now }) == true {
      verify(id, at: now)
    }
    // The successor has become the place of another one that was lost.
    if case .opened = ageing, members.current <= floor { ageing = .due }
    if isSafeToClose { pruneOne(at: now) }
    // The next replacement begins when the one before is complete. While logins fail it is only tried, not closed:
    // that is how it is noticed that they work again.
    if ageing == .none, isProbeWell, settings.maxConnections > 1,
      members.connecting == 0, members.current >= floor,
      members.all.contains(where: { $0.member.expires <= now && !members.isRetired($0.member) })
    {
      ageing = .due
    }
    advanceAgeing(at: now)
    scheduleUpkeep(at: now)
  }

  private var isProbeWell: Bool {
    probe.isProven && probe.asked == nil && probe.report.failuresInRow == 0
  }

  private var isSafeToClose: Bool { isProbeWell && !logins.isFailing }

  /// The successor is open, or cannot be opened before one is closed.
  var mayCloseOutlived: Bool {
    switch ageing {
    case .none, .opening: false
    case .due: isSafeToClose && members.count >= settings.maxConnections
    case .opened: isSafeToClose && members.current > floor
    }
  }

  mutating func closeOutlived(_ id: ConnectionID, at now: Instant) {
    ageing = .none
    close(id, .maxLifetime)
    wakeForUpkeep(by: now + .milliseconds(100))
  }

  /// Closes an idle connection that has outlived, if one may be closed now. Called when something it may wait for
  /// has happened: the new one is open, the probe was answered. What comes back from a lease is looked at there.
  mutating func advanceAgeing(at now: Instant) {
    guard mayCloseOutlived else { return }
    if let old = members.idle.first(where: { hasOutlived($0, at: now) }) {
      return closeOutlived(old, at: now)
    }
    if let successor = members.idle.last { handProbeOn(to: successor, at: now) }
  }

  /// Moves the probe from a connection that has outlived to one that has not; the old one is closed once that one
  /// has answered. True if it moved.
  @discardableResult
  mutating func handProbeOn(to successor: ConnectionID, at now: Instant) -> Bool {
    guard let reserved = probe.connection, mayCloseOutlived, hasOutlived(reserved, at: now),
      !hasOutlived(successor, at: now)
    else { return false }
    reserve(successor, at: now)
    makeIdle(reserved, at: now)
    return true
  }

  func hasOutlived(_ id: ConnectionID, at now: Instant) -> Bool {
    members[id].map { $0.expires <= now } ?? false
  }

  /// The successor of one that is too old is not one too many.
  private var isAboveFloor: Bool {
    let needed = if case .opened = ageing { floor + 1 } else { floor }
    return members.current > needed
  }

  /// Above the floor, closes the connection that has been idle longest.
  private mutating func pruneOne(at now: Instant) {
    guard isAboveFloor, let longest = members.idle.first,
      let member = members[longest], idleUntil(of: member) <= now,
      lastPruned.map({ now - $0 >= Self.pruneEvery }) ?? true
    else { return }
    lastPruned = now
    close(longest, .idleTimeout)
  }

  /// When an idle connection is next asked whether it is there.
  private func keepAlive(of member: Member) -> Instant {
    member.since + settings.healthCheckInterval.scaled(by: member.spread)
  }

  /// When an idle connection above the floor has been idle for too long.
  private func idleUntil(of member: Member) -> Instant {
    member.lastUsed + settings.idleTimeout.scaled(by: member.spread)
  }

  /// At the earliest thing that falls due. What is overdue waits for something else (a lease, a login that works):
  /// it is looked at again in a second. One that is in use is taken to come back now, so that nothing need be done
  /// when it does.
  private mutating func scheduleUpkeep(at now: Instant) {
    var next = Instant.distantFuture
    let pruning = lastPruned.map { $0 + Self.pruneEvery } ?? .origin
    for (_, var member) in members.all where member.isOpen {
      if member.state != .idle { (member.since, member.lastUsed) = (now, now) }
      next = min(next, member.expires, keepAlive(of: member))
      if isAboveFloor { next = min(next, max(idleUntil(of: member), pruning)) }
    }
    alarms.upkeep = members.open == 0 ? nil : max(next, now + .seconds(1))
  }
}
