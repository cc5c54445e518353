import Health

/// Something in a manifest that does not do what its author wants.
struct Finding: Hashable, Sendable {
  enum Severity: String {
    /// It will go wrong: `plan` exits 1.
    case error
    /// It may be on purpose.
    case advice
  }

  /// What is looked at; the README lists them.
  enum Rule: String, CaseIterable {
    case gracePeriod = "grace-period"
    case startupBudget = "startup-budget"
    case probeTimeout = "probe-timeout"
    case probePort = "probe-port"
    case livenessQuestion = "liveness-question"
    case readinessQuestion = "readiness-question"
    case drainHook = "drain-hook"
    case drainDelay = "drain-delay"
    case appHook = "app-hook"
    case sidecarKind = "sidecar-kind"
    case setting
  }

  let rule: Rule
  let severity: Severity
  let line: Int
  let container: String
  let what: String
  let why: String?
  /// What would be right.
  let set: String?

  init(
    _ rule: Rule, _ severity: Severity, _ line: Int, _ container: String, _ what: String, why: String? = nil,
    set: String? = nil
  ) {
    self.rule = rule
    self.severity = severity
    self.line = line
    self.container = container
    self.what = what
    self.why = why
    self.set = set
  }

  /// As compilers write it, so that editors find the place.
  func text(file: String) -> String {
    "\(file):\(line): \(severity.rawValue): \(rule.rawValue): \(container.shown): \(what)"
      + (why.map { ": \($0)" } ?? "") + (set.map { "; \($0)" } ?? "")
  }

  var json: JSON {
    .object([
      .init("severity", .string(severity.rawValue)), .init("rule", .string(rule.rawValue)),
      .init("line", .int(line)), .init("container", .string(container)), .init("what", .string(what)),
      .init("why", .string(why)), .init("set", .string(set)),
    ])
  }
}
