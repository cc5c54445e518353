import PoolCore

/// `GET /` for a terminal: what the page begins with, and what else there is.
struct StatusText {
  let summary: StatusSummary

  init(_ observation: Observation, _ details: AdminDetails) {
    summary = StatusSummary(observation, details)
  }

  var text: String {
    var lines = ["\(summary.instance), warmgate \(summary.version)", "\(summary.headline) \(summary.since)"]
    for reason in summary.reasons {
      lines.append("  \(reason.text)")
      if let advice = reason.advice { lines.append("  → \(advice)") }
    }
    lines.append(summary.pool)
    return lines.map { $0 + "\n" }.joined() + Self.paths
  }

  private static let paths = """

    GET  /                    this; for a browser, the status page
    GET  /status              everything, as JSON
    POST /drain               drains and waits; ?wait=0 does not wait, ?timeout=20s
    POST /resume              takes a drain back
    POST /quit                drains, then ends the process

    """
}
