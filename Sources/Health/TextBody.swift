import PoolCore

extension Answer {
  /// The verdict in one line, which is all there is unless something needs to be said besides.
  var text: String { remarks.reduce(verdictLine + "\n") { $0 + $1 + "\n" } }

  private var verdictLine: String {
    switch question {
    case .ready: isYes ? "ready" : "not ready: \(reasonsText)"
    case .check(let name): isYes ? "\(name.rawValue) ok" : "\(name.rawValue) failed: \(reasonsText)"
    case .live: isYes ? "alive" : "not alive: \(reasonsText)"
    case .startup: isYes ? "started" : "not started: \(reasonsText)"
    }
  }

  private var reasonsText: String {
    reasons.isEmpty ? state : reasons.map(\.text).joined(separator: "; ")
  }

  private var remarks: [String] {
    var remarks: [String] = []
    if question == .ready {
      if isYes && verdict.isDegraded {
        remarks.append("degraded: " + verdict.reasons.map(\.text).joined(separator: "; "))
      }
      remarks += exclusions.warnings
    }
    return remarks
  }

  /// One line per check, in the form of Kubernetes' API server (`?verbose`).
  var verboseText: String {
    (checkLines + remarks + ["\(question.kubernetesName) check \(isYes ? "passed" : "failed")"])
      .map { $0 + "\n" }.joined()
  }

  private var checkLines: [String] {
    switch question {
    case .ready:
      observation.verdict.checks.map { check in
        exclusions.names.contains(check.name) ? "[+]\(check.name.rawValue) excluded: ok" : check.line
      }
    case .check(let name): observation.verdict.checks.filter { $0.name == name }.map(\.line)
    case .live: [isYes ? "[+]heartbeat ok" : "[-]heartbeat failed: \(reasonsText)"]
    case .startup: [isYes ? "[+]startup ok" : "[-]startup failed: \(reasonsText)"]
    }
  }
}

extension Verdict.Check {
  fileprivate var line: String {
    if let failure { "[-]\(name.rawValue) failed: \(failure.text)" } else { "[+]\(name.rawValue) ok" }
  }
}
