/// What happens to open connections: they are lost, verified, given up together, closed.
extension PoolCore {
  /// One connection ended by the server or the network.
  mutating func ended(_ id: ConnectionID, _ fault: Fault, at now: Instant) {
    guard let member = members[id] else { return }
    switch member.state {
    case .connecting: return impossible("\(id) ended before it was open")
    case .leased:
      // It stays with its lease, which will find out; the place is taken until then.
      members.update(id) { $0.isBroken = true }
      record(fault, during: .connection, at: now)
      lost(id, fault, at: now)
    case .reserved:
      count(fault, took: probe.asked.map { now - $0 } ?? .zero, at: now)
      close(id, .ended)
      if !retiresGeneration(fault) { considerProbe(at: now) }
      lost(id, fault, at: now)
    case .idle:
      record(fault, during: .connection, at: now)
      close(id, .ended)
      lost(id, fault, at: now)
    case .verifying:
      record(fault, during: .connection, at: now)
      close(id, .ended)
      if member.isSuspect { retireGeneration(.retired, at: now) } else { lost(id, fault, at: now) }
    }
    if members.open == 0 { logins.connectionsLost(at: now, random: &random) }
  }

  /// Faults that mean more than one connection: the others are given up with it, or asked whether they still work.
  mutating func lost(_ id: ConnectionID, _ fault: Fault, at now: Instant) {
    if let member = members[id], members.isRetired(member) { return }
    if retiresGeneration(fault) { return retireGeneration(.retired, at: now) }
    guard isUnasked(fault) else { return }
    if let last = lastUnaskedEnd, now - last < .seconds(1) { return retireGeneration(.retired, at: now) }
    lastUnaskedEnd = now
    askProbe(at: now)
    for sibling in members.idle { verify(sibling, isSuspect: true, at: now) }
  }

  /// The server is another one now, or not the one that was asked for.
  func retiresGeneration(_ fault: Fault) -> Bool {
    switch fault.sqlState {
    case .crashShutdown, .readOnlyTransaction, .databaseDropped: true
    default: fault.kind == .wrongRole
    }
  }

  /// Ends that may be the first of many, rather than the doing of one session.
  private func isUnasked(_ fault: Fault) -> Bool {
    switch fault.kind {
    case .server(.adminShutdown), .closed, .timedOut: true
    default: false
    }
  }

  /// Gives up all connections together. Leases in use finish; their connections close when they come back.
  mutating func retireGeneration(_ reason: CloseReason, at now: Instant) {
    members.nextGeneration()
    probe.isProven = false
    ageing = nil
    lastUnaskedEnd = nil
    for (id, member) in members.all {
      switch member.state {
      case .idle, .verifying, .reserved: close(id, reason)
      case .connecting, .leased: break
      }
    }
    logins.connectionsLost(at: now, random: &random)
  }

  mutating func close(_ id: ConnectionID, _ reason: CloseReason) {
    guard let member = members.remove(id) else { return }
    if probe.connection == id { probeConnectionGone() }
    if ageing?.old == id || ageing?.new == id { ageing = nil }
    if case .leased(let lease) = member.state { leases[lease] = nil }
    counters.closes[reason.rawValue, default: 0] += 1
    if drain != nil, phase == .draining { drain?.closed += 1 }
    effects.append(.close(id, reason))
  }

  // MARK: - Verifying

  /// `isSuspect`: a sibling was just lost, so its failure is the second and speaks for all.
  mutating func verify(_ id: ConnectionID, isSuspect: Bool, at now: Instant) {
    members.move(id, to: .verifying, at: now)
    members.update(id) { $0.isSuspect = isSuspect }
    effects.append(.verify(id))
    let deadline = now + settings.probeTimeout
    alarms.verifyDeadline = alarms.verifyDeadline.map { min($0, deadline) } ?? deadline
  }

  mutating func verified(_ id: ConnectionID, at now: Instant) {
    guard members[id]?.state == .verifying else { return }
    makeIdle(id, at: now)
  }

  mutating func verifyTimedOut(at now: Instant) {
    var next: Instant?
    var late: [ConnectionID] = []
    for (id, member) in members.all where member.state == .verifying {
      let deadline = member.since + settings.probeTimeout
      if deadline <= now { late.append(id) } else { next = next.map { min($0, deadline) } ?? deadline }
    }
    alarms.verifyDeadline = next
    guard !late.isEmpty else { return }
    let fault = Fault(.timedOut, at: .idle)
    record(fault, during: .connection, at: now)
    let speaksForAll = late.count > 1 || late.contains { members[$0]?.isSuspect == true }
    for id in late { close(id, .silent) }
    if speaksForAll { return retireGeneration(.silent, at: now) }
    for id in late { lost(id, fault, at: now) }
  }
}
