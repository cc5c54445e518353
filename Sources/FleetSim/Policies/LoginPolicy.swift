import PoolCore

/// A pool reduced to its way of logging in: which of its places are to be filled, when, and how many at a time.
/// A place is one of the connections that the pool is to have, from 0.
protocol LoginPolicy: Sendable {
  /// All places are vacant. `random` is for what the pool leaves to chance.
  init(places: Int, random: RandomSource)

  /// The pool begins, or the connection in this place is lost.
  mutating func vacated(_ place: Int, at now: Instant)
  /// The login for this place has succeeded.
  mutating func opened(_ place: Int, at now: Instant)
  /// The login for this place has failed.
  mutating func failed(_ place: Int, at now: Instant)

  /// A place whose login begins now; nil if none does. Asked after everything that happens, until it is nil.
  mutating func nextLogin(at now: Instant) -> Int?
  /// When `nextLogin` is to be asked again even if nothing happens.
  var nextWake: Instant? { get }
}

extension RandomSource {
  /// Evenly between `value` less and more that part of it.
  mutating func spread(_ value: Duration, by part: Double) -> Duration {
    value.scaled(by: Double.random(in: (1 - part)..<(1 + part), using: &self))
  }
}
