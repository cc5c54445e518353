import PoolCore

/// As HikariCP 6 does (brettwooldridge/HikariCP, `PoolEntryCreator` in `HikariPool.java`): one thread opens one
/// connection after the other, and rests 30 ms after each. A login that fails is repeated after 10 ms, twice as long
/// each time, at most 5 s. Nothing is left to chance.
struct HikariCPPolicy: LoginPolicy {
  static let rest: Duration = .milliseconds(30)
  static let firstRetry: Duration = .milliseconds(10)
  static let longestRetry: Duration = .seconds(5)

  private var vacant: [Int] = []
  private var isConnecting = false
  private var notBefore = Instant.origin
  private var retry = Self.firstRetry

  init(places: Int, random: RandomSource) {}

  mutating func vacated(_ place: Int, at now: Instant) { vacant.append(place) }

  mutating func opened(_ place: Int, at now: Instant) {
    isConnecting = false
    notBefore = now + Self.rest
    retry = Self.firstRetry
  }

  mutating func failed(_ place: Int, at now: Instant) {
    isConnecting = false
    vacant.append(place)
    notBefore = now + retry
    retry = min(Self.longestRetry, retry + retry)
  }

  mutating func nextLogin(at now: Instant) -> Int? {
    guard !isConnecting, now >= notBefore, let place = vacant.popLast() else { return nil }
    isConnecting = true
    return place
  }

  var nextWake: Instant? { isConnecting || vacant.isEmpty ? nil : notBefore }
}
