/// Whether a free connection still works is asked before somebody relies on it: of one that has been idle for a while,
/// when it is about to be lent; of all of them, when one was lost in a way that may concern them; and of each now and
/// then, so that nothing between us and the server forgets it.
///
/// A check belongs to nobody: whoever has waited longest when it is answered gets the connection. So a caller keeps
/// its place and its deadline while connections are asked for it, and one that is gone by then gets nothing.
extension PoolCore {
  /// Used within this time, a connection is lent as it is (the shell still looks at its socket).
  static let freshFor: Duration = .seconds(1)
  /// A caller waits no longer than this for an answer: then another connection has to do.
  static let checkTimeout: Duration = .milliseconds(500)
  /// So many are asked at once after a loss: a large pool is no burst of queries for a server in trouble.
  static let suspectsAtOnce = 4

  /// It has shown within the last moments that it works, and nothing since makes that doubtful.
  func isFresh(_ id: ConnectionID, at now: Instant) -> Bool {
    guard let member = members[id] else { return false }
    return now - member.since <= Self.freshFor && member.doubt == .none
  }

  /// Lends what is free to those who wait, or asks first: one connection for each of them, no more.
  mutating func serveWaiters(at now: Instant) {
    while !queue.isEmpty, let id = members.idle.last {
      if isFresh(id, at: now) {
        makeIdle(id, at: now)
      } else if members.checking < queue.count {
        check(id, at: now)
      } else {
        return
      }
    }
  }

  private mutating func check(_ id: ConnectionID, at now: Instant) {
    members.move(id, to: .checking, at: now)
    ask(id, within: checkTimeout, at: now)
  }

  /// No longer than a probe may take, if that is less.
  private var checkTimeout: Duration { min(Self.checkTimeout, settings.probeTimeout) }

  /// The keep-alive, or the question after a sibling was lost.
  mutating func verify(_ id: ConnectionID, at now: Instant) {
    members.move(id, to: .verifying, at: now)
    ask(id, within: settings.probeTimeout, at: now)
  }

  mutating func verifySuspects(at now: Instant) {
    guard hasSuspects, members.verifying < Self.suspectsAtOnce else { return }
    for id in members.idle.reversed() where members[id]?.doubt == .suspect {
      verify(id, at: now)
      if members.verifying >= Self.suspectsAtOnce { return }
    }
    hasSuspects = false
  }

  private mutating func ask(_ id: ConnectionID, within time: Duration, at now: Instant) {
    effects.append(.verify(id))
    let deadline = now + time
    alarms.verifyDeadline = alarms.verifyDeadline.map { min($0, deadline) } ?? deadline
  }

  mutating func verified(_ id: ConnectionID, at now: Instant) {
    switch members[id]?.state {
    case .checking?, .verifying?:
      let spread = newSpread()
      members.update(id) { ($0.doubt, $0.spread) = (.none, spread) }
      makeIdle(id, at: now)
      verifySuspects(at: now)
    default: return
    }
  }

  mutating func verifyTimedOut(at now: Instant) {
    var next: Instant?
    var late: [ConnectionID] = []
    var verifications = 0
    var isSuspectLate = false
    alarms.verifyDeadline = nil
    guard members.checking + members.verifying > 0 else { return }
    for (id, member) in members.all {
      let deadline: Instant
      switch member.state {
      case .checking: deadline = member.since + checkTimeout
      case .verifying: deadline = member.since + settings.probeTimeout
      default: continue
      }
      if deadline > now {
        next = next.map { min($0, deadline) } ?? deadline
        continue
      }
      late.append(id)
      if member.state == .verifying { verifications += 1 }
      // A check is impatient: its silence alone does not speak for others.
      if member.state == .verifying, member.doubt == .suspect { isSuspectLate = true }
    }
    alarms.verifyDeadline = next
    guard !late.isEmpty else { return }
    let fault = Fault(.timedOut, at: .idle)
    record(fault, during: .connection, at: now)
    for id in late { close(id, .silent) }
    if verifications > 1 || isSuspectLate {
      // The probe's connection is given up with them, and its next question would have gone as theirs did.
      if probe.connection != nil { count(fault, took: settings.probeTimeout, isRecorded: true, at: now) }
      return retireGeneration(.silent, because: fault, at: now)
    }
    for id in late { lost(id, fault, at: now) }
    verifySuspects(at: now)
  }
}
