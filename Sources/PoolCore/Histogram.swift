/// How long something took, counted by size: a place of fixed size that never grows, and costs an increment to add to.
///
/// Its counts lie within it, so that a snapshot of them is a copy of memory: an array that the last snapshot shares
/// would be copied at the next change, for every statement of a busy pool.
public struct Histogram: Sendable {
  /// The sizes that a histogram tells apart.
  public enum Scale: Hashable, Sendable, CaseIterable {
    /// 10 µs to 5 s: how long callers wait.
    case wait
    /// 0.5 ms to 10 s: logins and probes.
    case roundTrip
    /// 1 ms to half an hour: leases.
    case lease

    /// Each size up to which there is a count, in nanoseconds, ascending. What is larger has a count of its own.
    public var bounds: [Int64] {
      switch self {
      case .wait: Self.waitBounds
      case .roundTrip: Self.roundTripBounds
      case .lease: Self.leaseBounds
      }
    }

    private static let waitBounds: [Int64] = [
      10_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000,
      100_000_000, 250_000_000, 500_000_000, 1_000_000_000, 2_500_000_000, 5_000_000_000,
    ]
    private static let roundTripBounds: [Int64] = [
      500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000, 100_000_000, 250_000_000,
      500_000_000, 1_000_000_000, 2_500_000_000, 5_000_000_000, 10_000_000_000,
    ]
    private static let leaseBounds: [Int64] = [
      1_000_000, 5_000_000, 10_000_000, 50_000_000, 100_000_000, 500_000_000, 1_000_000_000, 5_000_000_000,
      10_000_000_000, 30_000_000_000, 60_000_000_000, 300_000_000_000, 1_800_000_000_000,
    ]
  }

  /// The most bounds that a scale may have, and one more.
  private typealias Counts = InlineArray<17, UInt64>

  /// What it tells apart.
  public let scale: Scale
  private var counts = Counts(repeating: 0)
  private var nanoseconds: UInt64 = 0

  /// Nothing counted yet.
  public init(_ scale: Scale) { self.scale = scale }

  /// Counts the time from `start` to `end`; nothing if that is negative.
  mutating func add(from start: Instant, to end: Instant) {
    let (difference, overflow) = end.nanoseconds.subtractingReportingOverflow(start.nanoseconds)
    add(nanoseconds: overflow ? .max : max(0, difference))
  }

  mutating func add(nanoseconds took: Int64) {
    let bounds = scale.bounds
    var index = 0
    while index < bounds.count, took > bounds[index] { index += 1 }
    if index < counts.count { counts[index] &+= 1 }
    nanoseconds &+= UInt64(max(0, took))
  }

  /// How many were counted up to each of the scale's bounds, the smaller ones included; the last number is of all.
  public var cumulative: [UInt64] {
    var total: UInt64 = 0
    return (0...scale.bounds.count).map { index in
      if index < counts.count { total &+= counts[index] }
      return total
    }
  }

  /// How many were counted.
  public var count: UInt64 { counts.indices.reduce(0) { $0 &+ counts[$1] } }

  /// All of them together.
  public var sum: Duration { .nanoseconds(Int64(clamping: nanoseconds)) }
}

/// How long things took, since the process started.
public struct Timings: Sendable {
  /// From a caller's call, and from a lease's need of another connection, until it had one. Refusals are not in it.
  public var acquires = Histogram(.wait)
  /// From the grant of a lease to its end.
  public var leases = Histogram(.lease)
  /// Logins that ended in a session.
  public var logins = Histogram(.roundTrip)
  /// Probes that were answered as wanted.
  public var probes = Histogram(.roundTrip)

  /// Nothing counted yet.
  public init() {}
}
