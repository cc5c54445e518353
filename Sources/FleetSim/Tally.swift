import PoolCore

/// Counts what happens, as it happens: nothing looks at the whole fleet to know how it is.
struct Tally {
  private let story: Instant
  private let calm: Instant
  private let troubleBegins: Instant?
  private let connections: Int

  private(set) var live = 0
  var ready = 0
  private(set) var withOne = 0
  private var full = 0
  private var open = 0
  var sessions = 0
  /// Instances are still to come, and to go.
  var isRolling = false
  var events = 0

  var wasted = 0
  var timedOut = 0
  private var refusedInTrouble = 0
  private var noSlots = 0
  private var peak = 0
  /// Since the calm: the current 100 ms, and what has arrived in it.
  private var step: Int64 = -1
  private var arrivedInStep = 0
  private var allHaveOne: Instant?
  private var allFull: Instant?
  private var missing: Int?
  private var ended = Instant.origin
  private var violations: [String] = []
  private var series = Series()
  private var arrived = 0
  /// The moment of the last thing that happened.
  private var latest = Instant.origin
  private var steps: Int64 = 0

  init(story: Instant, calm: Instant, troubleBegins: Instant?, connections: Int) {
    (self.story, self.calm, self.troubleBegins) = (story, calm, troubleBegins)
    self.connections = connections
  }

  /// Everybody who is there has everything.
  var isWell: Bool { live > 0 && full == live && ready == live }

  // MARK: - The fleet

  mutating func joined() { live += 1 }

  mutating func left(open count: Int, ready wasReady: Bool) {
    live -= 1
    open -= count
    if count > 0 { withOne -= 1 }
    if count >= connections { full -= 1 }
    if wasReady { ready -= 1 }
  }

  mutating func opened(now count: Int, at now: Instant) {
    open += 1
    if count == 1 { withOne += 1 }
    if count == connections { full += 1 }
  }

  mutating func closed(now count: Int) {
    open -= 1
    if count == 0 { withOne -= 1 }
    if count == connections - 1 { full -= 1 }
  }

  mutating func broken(_ law: String) { if violations.count < 20 { violations.append(law) } }

  /// All of them are to be had anew.
  mutating func rolloutBegins() {
    isRolling = true
    missing = live * connections
  }

  // MARK: - Logins

  mutating func loginArrived(_ refusal: Refusal?, at now: Instant) {
    arrived += 1
    if refusal == .noSlots { noSlots += 1 }
    if now < calm {
      if refusal != nil, let troubleBegins, now >= troubleBegins { refusedInTrouble += 1 }
      return
    }
    let current = (now - calm).inNanoseconds / Series.step.inNanoseconds
    if current != step { (step, arrivedInStep) = (current, 0) }
    arrivedInStep += 1
    peak = max(peak, arrivedInStep)
  }

  // MARK: - Time

  /// Nothing more happens before `next`: what holds now has held until then.
  mutating func advance(to next: Instant) {
    note(before: next)
    guard next > story else { return }
    let current = (next - story).inNanoseconds / Series.step.inNanoseconds
    while steps < current { endStep() }
  }

  private mutating func endStep() {
    steps += 1
    series.logins.append(arrived)
    series.sessions.append(sessions)
    series.ready.append(ready)
    arrived = 0
  }

  /// What several events at one moment leave behind is what holds, not what each of them does.
  private mutating func note(before next: Instant) {
    defer { latest = next }
    guard next > latest, next > calm else { return }
    if missing == nil { missing = live * connections - open }
    guard live > 0, !isRolling else { return }
    let at = max(calm, latest)
    if allHaveOne == nil, withOne == live { allHaveOne = at }
    if allFull == nil, full == live { allFull = at }
  }

  mutating func finish(at now: Instant) {
    note(before: max(now, calm) + .nanoseconds(1))
    ended = now
    if now > story { endStep() }
  }

  func outcome(_ setup: Setup, _ strategy: Strategy, server: Server) -> Outcome {
    var outcome = Outcome(strategy: strategy)
    if let troubleBegins, calm > troubleBegins {
      outcome.refusedPerSecond = Double(refusedInTrouble) / (calm - troubleBegins).inSeconds
    }
    outcome.peakArrivals = peak
    outcome.wasted = wasted
    outcome.timedOut = timedOut
    outcome.noSlots = noSlots
    outcome.allHaveOne = allHaveOne.map { $0 - calm }
    outcome.allFull = allFull.map { $0 - calm }
    if let allFull = outcome.allFull, let missing, missing > 0 {
      outcome.timesIdeal = allFull.inSeconds * setup.model.loginsPerSecond / Double(missing)
    }
    outcome.ready = ready
    outcome.instances = live
    outcome.ended = ended - story
    outcome.events = events
    outcome.violations = violations
    outcome.series = series
    return outcome
  }
}
