import PoolCore

/// One instance of the fleet: told what happened, it says what is to be done. The language is that of `PoolCore`, so
/// that the shipped pool runs here as it is, and another way of logging in is only another type.
protocol SimulatedInstance: Sendable {
  /// Takes in what happened at `now`; what is to be done about it replaces what `buffer` held.
  mutating func handle(_ event: Event, at now: Instant, into buffer: inout [Effect])

  /// When it wants to be told the time again.
  var nextWake: Instant? { get }

  /// Whether it says that traffic may come.
  var saysReady: Bool { get }

  /// It has no connection to ask on: a login is how it learns anything.
  var isScouting: Bool { get }

  /// It asks on its connections by itself, and so notices silence. One that does not learns it from its callers, when
  /// they give up.
  static var asksItself: Bool { get }
}

extension PoolCore: SimulatedInstance {
  var saysReady: Bool { phase == .ready }
  var isScouting: Bool { probeConnection == nil }
  static var asksItself: Bool { true }
}
