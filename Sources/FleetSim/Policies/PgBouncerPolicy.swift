import PoolCore

/// As PgBouncer does while clients wait (pgbouncer/pgbouncer, `launch_new_connection` in `objects.c`, `janitor.c`, and
/// `server_login_retry` in its manual): one login at a time, the next as soon as it is done. After one that failed, none
/// before 15 s have passed since it was begun, as far as its maintenance notices, three times a second.
struct PgBouncerPolicy: LoginPolicy {
  static let retryAfter: Duration = .seconds(15)
  static let maintenance: Duration = .nanoseconds(333_333_333)

  private var vacant: [Int] = []
  private var isConnecting = false
  private var lastBegun = Instant.origin
  private var notBefore = Instant.origin
  /// When its maintenance is, within a third of a second.
  private let phase: Duration

  init(places: Int, random: RandomSource) {
    var random = random
    phase = Self.maintenance.scaled(by: Double.random(in: 0..<1, using: &random))
  }

  mutating func vacated(_ place: Int, at now: Instant) { vacant.append(place) }

  mutating func opened(_ place: Int, at now: Instant) {
    isConnecting = false
    notBefore = now
  }

  mutating func failed(_ place: Int, at now: Instant) {
    isConnecting = false
    vacant.append(place)
    let due = lastBegun + Self.retryAfter - .origin - phase
    let period = Self.maintenance.inNanoseconds
    let turns = (due.inNanoseconds + period - 1) / period
    notBefore = max(now, .origin + phase + .nanoseconds(turns * period))
  }

  mutating func nextLogin(at now: Instant) -> Int? {
    guard !isConnecting, now >= notBefore, let place = vacant.popLast() else { return nil }
    isConnecting = true
    lastBegun = now
    return place
  }

  var nextWake: Instant? { isConnecting || vacant.isEmpty ? nil : notBefore }
}
