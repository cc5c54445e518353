/// A moment on the clock of the machine, in nanoseconds since an arbitrary origin.
///
/// The shell reads it from `CLOCK_BOOTTIME`, which goes on while a virtual machine sleeps, so that nothing that
/// was known before the sleep looks fresh after it; the simulator makes it up. Arithmetic saturates: a time
/// that came from a setting or from the network can be absurd, but it cannot trap.
public struct Instant: Hashable, Comparable, Sendable {
  /// Since the clock's origin.
  public var nanoseconds: Int64

  /// So long after the clock's origin.
  public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  /// The clock's origin.
  public static let origin = Instant(nanoseconds: 0)
  /// Later than every moment that will come.
  public static let distantFuture = Instant(nanoseconds: .max)

  public static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }

  /// The moment that much later, saturated.
  public static func + (a: Instant, b: Duration) -> Instant {
    Instant(nanoseconds: a.nanoseconds.addingSaturated(b.inNanoseconds))
  }

  /// The moment that much earlier, saturated.
  public static func - (a: Instant, b: Duration) -> Instant {
    Instant(nanoseconds: a.nanoseconds.subtractingSaturated(b.inNanoseconds))
  }

  /// The time from `b` to `a`; negative if `b` is the later one.
  public static func - (a: Instant, b: Instant) -> Duration {
    .nanoseconds(a.nanoseconds.subtractingSaturated(b.nanoseconds))
  }
}

extension Duration {
  /// Whole nanoseconds, saturated to what 64 bits hold (292 years).
  public var inNanoseconds: Int64 {
    Int64(clamping: attoseconds / 1_000_000_000)
  }

  /// Seconds as a floating-point number, for texts and metrics.
  public var inSeconds: Double { Double(inNanoseconds) / 1e9 }

  /// `self` times a factor that is not negative, saturated.
  public func scaled(by factor: Double) -> Duration {
    let nanoseconds = Double(inNanoseconds) * factor
    guard nanoseconds < 9.2e18 else { return .nanoseconds(Int64.max) }
    return .nanoseconds(nanoseconds > -9.2e18 ? Int64(nanoseconds) : Int64.min)
  }
}

extension Int64 {
  fileprivate func addingSaturated(_ other: Int64) -> Int64 {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? (other < 0 ? .min : .max) : sum
  }

  fileprivate func subtractingSaturated(_ other: Int64) -> Int64 {
    let (difference, overflow) = subtractingReportingOverflow(other)
    return overflow ? (other > 0 ? .min : .max) : difference
  }
}
