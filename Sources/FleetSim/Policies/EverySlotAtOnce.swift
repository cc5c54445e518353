import PoolCore

/// What is written first and without a thought: every place logs in by itself, and again 100 ms after a failure.
struct EverySlotAtOnce: LoginPolicy {
  static let retryAfter: Duration = .milliseconds(100)

  /// The time of each place's next login; nil for one that is open or under way.
  private var due: [Instant?]

  init(places: Int, random: RandomSource) { due = Array(repeating: nil, count: places) }

  mutating func vacated(_ place: Int, at now: Instant) { due[place] = now }
  mutating func opened(_ place: Int, at now: Instant) {}
  mutating func failed(_ place: Int, at now: Instant) { due[place] = now + Self.retryAfter }

  mutating func nextLogin(at now: Instant) -> Int? {
    guard let place = due.firstIndex(where: { $0.map { $0 <= now } ?? false }) else { return nil }
    due[place] = nil
    return place
  }

  var nextWake: Instant? { due.compactMap(\.self).min() }
}
