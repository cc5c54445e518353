/// What happens to open connections: they are lost, verified, given up together, closed.
extension PoolCore {
  /// One connection ended by the server or the network.
  mutating func ended(_ id: ConnectionID, _ fault: Fault, at now: Instant) {
    guard let member = members[id] else { return }
    switch member.state {
    case .connecting: return impossible("\(id) ended before it was open")
    case .leased:
      // It stays with its lease, which will find out; the place is taken until then.
      guard !member.isBroken else { return }
      members.breaks(id)
      record(fault, during: .connection, at: now)
      lost(id, fault, at: now)
    case .reserved:
      count(fault, took: probe.asked.map { now - $0 } ?? .zero, at: now)
      close(id, .ended)
      if !probe.isProven { sessionsLost(fault, at: now) }
      if speaksForAll(member, fault) {
        retireGeneration(.retired, because: fault, at: now)
      } else {
        if !retiresGeneration(fault) { considerProbe(at: now) }
        lost(id, fault, at: now)
      }
    case .idle:
      record(fault, during: .connection, at: now)
      close(id, .ended)
      lost(id, fault, at: now)
    case .checking, .verifying:
      record(fault, during: .connection, at: now)
      close(id, .ended)
      if speaksForAll(member, fault) {
        retireGeneration(.retired, because: fault, at: now)
      } else {
        lost(id, fault, at: now)
      }
    }
    if members.working == 0 { sessionsLost(fault, at: now) }
  }

  /// Faults that mean more than one connection: the others are given up with it, or asked whether they still work.
  mutating func lost(_ id: ConnectionID, _ fault: Fault, at now: Instant) {
    if let member = members[id], members.isRetired(member) { return }
    if retiresGeneration(fault) { return retireGeneration(.retired, because: fault, at: now) }
    guard concernsSiblings(fault) else { return }
    if fault.sqlState == .adminShutdown, shutdownSigns.heard(at: now) {
      return retireGeneration(.retired, because: fault, at: now)
    }
    askProbe(doubted: true, at: now)
    suspectSiblings()
    verifySuspects(at: now)
  }

  /// Each has to answer before it is trusted again; the probe's too, and those that are being asked already.
  private mutating func suspectSiblings() {
    for sibling in members.idle { members.update(sibling) { $0.doubt = .suspect } }
    if let id = probe.connection { members.update(id) { $0.doubt = .suspect } }
    hasSuspects = true
    guard members.checking + members.verifying > 0 else { return }
    for (id, member) in members.all where member.state == .checking || member.state == .verifying {
      members.update(id) { $0.doubt = .suspect }
    }
  }

  /// A sibling of a lost one that is lost as well. One more session picked by an administrator is none.
  private func speaksForAll(_ member: Member, _ fault: Fault) -> Bool {
    member.doubt == .suspect && !(fault.sqlState == .adminShutdown && shutdownSigns.isDisproved)
  }

  /// The server is another one now, or not the one that was asked for.
  func retiresGeneration(_ fault: Fault) -> Bool {
    switch fault.sqlState {
    case .crashShutdown, .readOnlyTransaction, .databaseDropped: true
    default: fault.kind == .wrongRole
    }
  }

  /// Ends that may be the first of many, rather than the doing of one session.
  private func concernsSiblings(_ fault: Fault) -> Bool {
    switch fault.kind {
    case .server(.adminShutdown), .closed: true
    // A statement that took too long for its caller says nothing about others.
    case .timedOut: fault.step != .query
    default: false
    }
  }

  /// Gives up all connections together, because of what one of them met.
  mutating func retireGeneration(_ reason: CloseReason, because fault: Fault, at now: Instant) {
    giveUpGeneration(reason, because: fault, at: now)
    sessionsLost(fault, at: now)
  }

  /// Leases in use finish; their connections close when they come back.
  mutating func giveUpGeneration(_ reason: CloseReason, because fault: Fault? = nil, at now: Instant) {
    members.nextGeneration()
    let retirement = Retirement(at: now, generation: members.generation, reason: reason, fault: fault)
    self.retirement = retirement
    effects.append(.retired(retirement))
    probe.isProven = false
    ageing = .none
    shutdownSigns.generationEnded()
    for (id, member) in members.all {
      switch member.state {
      case .idle, .checking, .verifying, .reserved: close(id, reason)
      case .connecting, .leased: break
      }
    }
  }

  /// What logins brought is gone, or never answered.
  mutating func sessionsLost(_ fault: Fault, at now: Instant) {
    probe.isProven = false
    breaker.sessionsLost(at: now)
    logins.sessionsLost(fault, at: now, random: &random)
  }

  /// The probe was answered. If a server has fallen silent and another one is the primary now, leases at the one before
  /// would only wait for what never comes, for as long as TCP believes in it. If it is the same server, reached in
  /// another way, their statements may be running still.
  mutating func cutSilentServer(answeredBy id: ConnectionID, at now: Instant) {
    guard let silent = probe.silentServer, let primary = members[id]?.server else { return }
    probe.silentServer = nil
    guard insistsOnPrimary, primary != silent else { return }
    let fault = Fault(
      .timedOut, at: .query, message: "its server has fallen silent, and another one has taken its place")
    for (id, member) in members.all where member.server == silent && !member.isBroken {
      guard case .leased = member.state else { continue }
      members.breaks(id)
      record(fault, during: .connection, at: now)
      effects.append(.cut(id, fault))
    }
  }

  mutating func close(_ id: ConnectionID, _ reason: CloseReason) {
    guard let member = members.remove(id) else { return }
    if reason == .silent { probe.silentServer = member.server }
    if probe.connection == id { probeConnectionGone() }
    if ageing.successor == id { ageing = .none }
    counters.closes[reason.rawValue, default: 0] += 1
    if drain != nil, phase == .draining { drain?.closed += 1 }
    effects.append(.close(id, reason))
  }
}
