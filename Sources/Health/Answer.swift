import PoolCore

/// The answer to a question at one moment, before it is put into words.
struct Answer: Sendable {
  let question: Question
  let observation: Observation
  let exclusions: Exclusions
  let isVerbose: Bool
  /// With the exclusions taken off.
  let verdict: Verdict
  let isYes: Bool
  /// Why not.
  let reasons: [Reason]

  init(
    _ question: Question, _ observation: Observation, exclusions: Exclusions = .init(),
    isVerbose: Bool = false
  ) {
    self.question = question
    self.observation = observation
    self.exclusions = exclusions
    self.isVerbose = isVerbose
    let whole = observation.verdict
    switch question {
    case .ready:
      verdict = whole.excluding(exclusions.names)
      isYes = verdict.isReady
      reasons = isYes ? [] : verdict.reasons
    case .check(let name):
      verdict = whole
      let failure = whole.checks.first { $0.name == name }?.failure
      isYes = failure == nil
      reasons = failure.map { [$0] } ?? []
    case .live:
      verdict = whole
      isYes = observation.snapshot.isAlive(at: observation.now)
      reasons = isYes ? [] : [.stalled(observation.now - observation.snapshot.taken)]
    case .startup:
      verdict = whole
      isYes = observation.snapshot.hasBeenReady
      reasons = isYes ? [] : whole.reasons
    }
  }

  func response(as mediaType: MediaType) -> Response {
    let body =
      switch mediaType {
      case .json: json.text + "\n"
      case .healthJSON: healthJSON.text + "\n"
      case .text, .html, .prometheus, .openMetrics: isVerbose ? verboseText : text
      }
    return Response(isYes ? .ok : .serviceUnavailable, mediaType, body: body)
  }

  /// `starting`, `warming` and so on, or `stalled` when the snapshot is not to be trusted.
  var state: String {
    let (snapshot, now) = (observation.snapshot, observation.now)
    if snapshot.stalled(at: now) != nil { return "stalled" }
    return (snapshot.lapsed(at: now) == nil ? snapshot.phase : .unready).rawValue
  }
}
