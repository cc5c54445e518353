/// A seeded source of random numbers (SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number
/// generators", 2014). The same seed gives the same decisions, so a failing test or simulation can be replayed.
public struct RandomSource: RandomNumberGenerator, Sendable {
  private var state: UInt64

  /// Gives the same numbers for the same seed.
  public init(seed: UInt64) { state = seed }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// Evenly from zero up to, but not including, one.
  mutating func fraction() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// Evenly from `low` up to `high`.
  mutating func duration(from low: Duration, to high: Duration) -> Duration {
    high <= low ? low : low + (high - low).scaled(by: fraction())
  }
}
