import PoolCore

/// As psycopg_pool does (psycopg/psycopg, `ConnectionAttempt` in `base.py` and `pool.py`): every missing connection is a
/// task of its own, done by three workers. One that fails comes back after 1 s ± 10 %, twice as long each time. A task
/// that has failed for 5 minutes gives its connection up, and nothing in the pool asks for it again.
struct PsycopgPoolPolicy: LoginPolicy {
  static let workers = 3
  static let firstDelay: Duration = .seconds(1)
  static let jitter = 0.1
  static let patience: Duration = .seconds(300)

  private struct Attempt {
    var delay: Duration
    var givesUp: Instant
  }

  private var attempts: [Attempt?]
  /// Tasks that wait for their time, and those that wait for a worker.
  private var later: [(at: Instant, place: Int)] = []
  private var ready: [Int] = []
  private var connecting = 0
  private var random: RandomSource

  init(places: Int, random: RandomSource) {
    attempts = Array(repeating: nil, count: places)
    self.random = random
  }

  mutating func vacated(_ place: Int, at now: Instant) { ready.append(place) }

  mutating func opened(_ place: Int, at now: Instant) {
    connecting -= 1
    attempts[place] = nil
  }

  mutating func failed(_ place: Int, at now: Instant) {
    connecting -= 1
    var next: Attempt
    if let attempt = attempts[place] {
      if now >= attempt.givesUp { return }
      next = attempt
      next.delay += attempt.delay
    } else {
      next = Attempt(delay: random.spread(Self.firstDelay, by: Self.jitter), givesUp: now + Self.patience)
    }
    next.delay = min(next.delay, max(.zero, next.givesUp - now))
    attempts[place] = next
    later.append((now + next.delay, place))
  }

  mutating func nextLogin(at now: Instant) -> Int? {
    while let due = later.indices.filter({ later[$0].at <= now }).min(by: { later[$0].at < later[$1].at }) {
      ready.append(later.remove(at: due).place)
    }
    guard connecting < Self.workers, !ready.isEmpty else { return nil }
    connecting += 1
    return ready.removeFirst()
  }

  var nextWake: Instant? { later.map(\.at).min() }
}
