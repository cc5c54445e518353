import PoolCore

/// As `ConnectionPoolModule` of PostgresNIO does (vapor/postgres-nio, `PoolStateMachine.swift`, commit 023a29b, read in
/// 2026): up to 20 logins at once. After a failure a single login tries on, others that fail meanwhile are dropped; it
/// waits 100 ms × 1.25 for each failure before, at most a minute, ± 3 %. Its success opens all that is missing at once.
struct PostgresNIOPolicy: LoginPolicy {
  static let atOnce = 20

  private enum State {
    /// → failing
    case running
    /// Only this place logs in, when it is time; nil: its login is under way. → running
    case failing(place: Int, failures: Int, due: Instant?)
  }

  private var state = State.running
  private var vacant: [Int] = []
  private var connecting = 0
  private var random: RandomSource

  init(places: Int, random: RandomSource) { self.random = random }

  mutating func vacated(_ place: Int, at now: Instant) { vacant.append(place) }

  mutating func opened(_ place: Int, at now: Instant) {
    connecting -= 1
    state = .running
  }

  mutating func failed(_ place: Int, at now: Instant) {
    connecting -= 1
    switch state {
    case .running: state = .failing(place: place, failures: 1, due: now + delay(failures: 1))
    case .failing(place, let failures, _):
      state = .failing(place: place, failures: failures + 1, due: now + delay(failures: failures + 1))
    case .failing: vacant.append(place)
    }
  }

  private mutating func delay(failures: Int) -> Duration {
    var delay = Duration.milliseconds(100)
    for _ in 1..<max(2, min(failures, 40)) where failures > 1 { delay = delay.scaled(by: 1.25) }
    return random.spread(min(delay, .seconds(60)), by: 0.03)
  }

  mutating func nextLogin(at now: Instant) -> Int? {
    switch state {
    case .running:
      guard connecting < Self.atOnce, let place = vacant.popLast() else { return nil }
      connecting += 1
      return place
    case .failing(let place, let failures, let due):
      guard let due, due <= now else { return nil }
      state = .failing(place: place, failures: failures, due: nil)
      connecting += 1
      return place
    }
  }

  var nextWake: Instant? { if case .failing(_, _, let due) = state { due } else { nil } }
}
