import PoolCore

/// How a strategy fared. Times are from the calm on: the end of the last trouble.
public struct Outcome: Hashable, Sendable {
  /// Which one.
  public var strategy: Strategy
  /// Logins a second that the server refused while there was trouble; nil if there was none.
  public var refusedPerSecond: Double?
  /// The most logins that arrived within 100 ms after it.
  public var peakArrivals = 0
  /// Logins that the server completed for clients that had given up.
  public var wasted = 0
  /// Logins that clients gave up.
  public var timedOut = 0
  /// Logins refused with 53300, during the trouble or after it.
  public var noSlots = 0
  /// Until every instance had a connection at the same moment; nil if that did not come.
  public var allHaveOne: Duration?
  /// Until every instance had all of them; nil if that did not come.
  public var allFull: Duration?
  /// `allFull` as a multiple of the time that the server needs for the connections that were missing; nil if none was.
  public var timesIdeal: Double?
  /// Instances that were ready in the end.
  public var ready = 0
  /// Instances there were in the end.
  public var instances = 0
  /// When the story ended.
  public var ended: Duration = .zero
  /// Events that were told to instances.
  public var events = 0
  /// Laws that did not hold: each a bug of the pool or of the simulator.
  public var violations: [String] = []
  /// Over time.
  public var series = Series()
}
