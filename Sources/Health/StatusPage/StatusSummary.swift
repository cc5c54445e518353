import PoolCore

/// What somebody who looks at an instance wants to know first, in words.
struct StatusSummary {
  /// What stands against being ready, or is wrong although it is.
  struct Line: Hashable {
    var text: String
    /// What to do about it.
    var advice: String?
  }

  let instance: String
  let version: String
  /// `ready`, `degraded`, `unready` and so on: also the page's way to choose a colour.
  let state: String
  /// `ready`, `ready, degraded`, `not ready: warming`.
  let headline: String
  /// Since when, on the calendar.
  let since: String
  let reasons: [Line]
  /// `2/10 connections: 2 idle, 0 in use, 0 connecting; 0 waiting`.
  let pool: String

  init(_ observation: Observation, _ details: AdminDetails) {
    let (snapshot, verdict) = (observation.snapshot, observation.verdict)
    let phase = Answer(.ready, observation).state
    (instance, version) = (details.instance, details.version)
    state = verdict.isDegraded ? "degraded" : phase
    headline =
      verdict.isReady
      ? (verdict.isDegraded ? "ready, degraded" : "ready")
      : "not ready" + (phase == "unready" ? "" : ": \(phase)")
    since = "since \(WallClock(observation.now).time(of: snapshot.since))"
    reasons = verdict.reasons.map { Line(text: Self.plain($0.detail), advice: $0.advice) }
    let counts = snapshot.pool
    pool =
      "\(counts.open)/\(counts.max) connections: \(counts.idle) idle, \(counts.leased) in use, "
      + "\(counts.connecting) connecting; \(counts.waiting) waiting"
  }
  /// The server's words may hold anything. Control characters are commands to a terminal, and those that turn the
  /// direction of writing make a browser show something else than was said.
  private static func plain(_ text: String) -> String {
    String(
      String.UnicodeScalarView(
        text.unicodeScalars.map { scalar in
          switch scalar.properties.generalCategory {
          case .control, .format, .lineSeparator, .paragraphSeparator: " "
          default: scalar
          }
        }))
  }
}
