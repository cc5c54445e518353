import PoolCore

/// Why the server turns a login away at once.
enum Refusal: UInt8, Hashable, Sendable {
  /// Nothing listens.
  case nobodyListens
  /// 57P03: it is about to accept logins.
  case starting
  /// 53300: every slot is taken.
  case noSlots

  var fault: Fault {
    switch self {
    case .nobodyListens: Fault(.refused, at: .tcp)
    case .starting: Fault(.server(.cannotConnectNow), at: .session)
    case .noSlots: Fault(.server(.tooManyConnections), at: .session)
    }
  }
}
