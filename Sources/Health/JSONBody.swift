import PoolCore

extension Answer {
  /// The whole verdict, the answer first. Our own words only: no host, no text of the server.
  var json: JSON {
    var members: [JSON.Member] = []
    switch question {
    case .ready: members.append(.init("ready", .bool(isYes)))
    case .check(let name):
      members += [.init("check", .string(name.rawValue)), .init("ok", .bool(isYes))]
    case .live: members.append(.init("alive", .bool(isYes)))
    case .startup: members.append(.init("started", .bool(isYes)))
    }
    members += [
      .init("state", .string(state)),
      .init("degraded", .bool(verdict.isDegraded)),
      .init(
        "reasons", .array((isYes ? (verdict.isReady ? verdict.reasons : []) : reasons).map { $0.json() })),
      .init("checks", .array(observation.verdict.checks.map { $0.json(excluded: exclusions.names) })),
    ]
    if question == .ready, !exclusions.warnings.isEmpty {
      members.append(.init("warnings", .array(exclusions.warnings.map(JSON.string))))
    }
    let snapshot = observation.snapshot
    let now = observation.now
    members += [
      .init("startup", snapshot.startupJSON),
      .init("heartbeat_age", .seconds(now - snapshot.taken)),
      .init("state_age", .seconds(now - snapshot.since)),
      .init("uptime", .seconds(now - snapshot.started)),
      .init("pool", snapshot.pool.json),
      .init("probe", snapshot.probe.json(at: now)),
      .init("drain", snapshot.drain?.json(at: now) ?? .null),
    ]
    return .object(members)
  }
}

extension Reason {
  /// `withDetail` adds the server's own words and hosts: for operators only. `withAdvice` adds what to do.
  func json(withDetail: Bool = false, withAdvice: Bool = false) -> JSON {
    var members: [JSON.Member] = [.init("name", .string(name)), .init("text", .string(text))]
    if withDetail { members.append(.init("detail", .string(detail))) }
    if withAdvice { members.append(.init("advice", .string(advice))) }
    if let fault { members += fault.members }
    return .object(members)
  }
}

extension Fault {
  /// Kind, SQLSTATE, its class and the step: nothing that anybody but us has said.
  var members: [JSON.Member] {
    [
      .init("kind", .string(kindName)),
      .init("class", .string(sqlState?.errorClass)),
      .init("sqlstate", .string(sqlState?.code)),
      .init("step", .string(step.rawValue)),
    ]
  }

  func json(withDetail: Bool = false) -> JSON {
    var members = [JSON.Member("text", .string(summary))]
    if withDetail { members.append(.init("detail", .string(detail))) }
    return .object(members + self.members)
  }
}

extension Verdict.Check {
  fileprivate func json(excluded: Set<Name>) -> JSON {
    var members: [JSON.Member] = [.init("name", .string(name.rawValue)), .init("ok", .bool(passed))]
    if excluded.contains(name) { members.append(.init("excluded", true)) }
    if let reason = failure ?? note { members.append(.init("text", .string(reason.text))) }
    return .object(members)
  }
}

extension Snapshot {
  /// `/startup`'s latch, and how long it took to become ready for the first time.
  var startupJSON: JSON {
    ["done": .bool(hasBeenReady), "took": firstReady.map { .seconds($0 - started) } ?? .null]
  }
}

extension PoolCounts {
  var json: JSON {
    [
      "min": .int(min), "max": .int(max), "open": .int(open), "idle": .int(idle), "leased": .int(leased),
      "connecting": .int(connecting), "waiting": .int(waiting), "longest_wait": .seconds(longestWait),
    ]
  }
}

extension ProbeReport {
  func json(at now: Instant, withDetail: Bool = false) -> JSON {
    [
      "last": last.map { last in
        [
          "ok": .bool(last.fault == nil), "age": .seconds(now - last.at), "took": .seconds(last.took),
          "fault": last.fault?.json(withDetail: withDetail) ?? .null,
        ]
      } ?? .null,
      "last_good_age": lastGood.map { .seconds(now - $0) } ?? .null,
      "failures_in_row": .int(failuresInRow),
    ]
  }
}

extension DrainProgress {
  func json(at now: Instant) -> JSON {
    [
      "stage": .string(stage.rawValue), "elapsed": .seconds((ended ?? now) - began),
      "remaining": .seconds(ended == nil ? Swift.max(.zero, deadline - now) : .zero),
      "in_use": .int(inUse), "finished": .int(finished), "cut": .int(cut), "refused": .int(refused),
      "closed": .int(closed),
    ]
  }
}
