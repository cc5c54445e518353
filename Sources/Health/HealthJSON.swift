import PoolCore

extension Answer {
  /// The form of draft-inadarei-api-health-check-06, `application/health+json`.
  var healthJSON: JSON {
    var members: [JSON.Member] = [.init("status", .string(status))]
    let why = isYes ? (verdict.isReady ? verdict.reasons : []) : reasons
    if !why.isEmpty { members.append(.init("output", .string(why.map(\.text).joined(separator: "; ")))) }
    members.append(.init("description", "Warmgate: whether this instance reaches its database"))
    if question == .ready, !exclusions.warnings.isEmpty {
      members.append(.init("notes", .array(exclusions.warnings.map(JSON.string))))
    }
    members.append(.init("checks", checksJSON))
    return .object(members)
  }

  private var status: String {
    isYes ? (question.isAboutReadiness && verdict.isDegraded ? "warn" : "pass") : "fail"
  }

  /// By `component:measurement`; the names of measurements are the draft's where it has one.
  private var checksJSON: JSON {
    let snapshot = observation.snapshot
    let now = observation.now
    let members = observation.verdict.checks.map { check in
      let measured: (key: String, type: String, value: JSON, unit: String?) =
        switch check.name {
        case .heartbeat: ("heartbeat:age", "system", .seconds(now - snapshot.taken), "s")
        case .drain: ("drain:stage", "component", .string(snapshot.drain?.stage.rawValue), nil)
        case .pool: ("pool:connections", "component", .int(snapshot.pool.open), "connections")
        case .probe:
          ("probe:responseTime", "datastore", snapshot.probe.last.map { .seconds($0.took) } ?? .null, "s")
        }
      var entry: [JSON.Member] = [
        .init("componentType", .string(measured.type)), .init("observedValue", measured.value),
      ]
      if let unit = measured.unit { entry.append(.init("observedUnit", .string(unit))) }
      entry.append(.init("status", .string(check.passed ? (check.note == nil ? "pass" : "warn") : "fail")))
      if check.name == .probe, let last = snapshot.probe.last {
        entry.append(.init("time", .string(WallClock(now).time(of: last.at))))
      }
      // The draft leaves the output out of a check that passed.
      if let reason = check.failure ?? check.note { entry.append(.init("output", .string(reason.text))) }
      return JSON.Member(measured.key, [.object(entry)])
    }
    return .object(members)
  }
}
