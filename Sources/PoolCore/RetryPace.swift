/// How soon a failed login may be tried again, by what went wrong.
///
/// Jitter is full (evenly from zero to the bound): narrow jitter keeps a fleet that lost its database at one moment
/// knocking in step. The bound's cap grows with the outage, to a minute, so that a fleet does not knock at full pace
/// for hours and still recovers within a twentieth of the time the outage took.
enum RetryPace: Hashable, Sendable {
  /// From zero to `base`, doubled with every failure up to `cap`.
  case backOff(base: Duration, cap: Duration)
  /// Evenly between the two: somebody has to change something first.
  case steady(from: Duration, to: Duration)

  static let longestCap: Duration = .seconds(60)

  /// Nothing wrong with the settings: it will pass.
  private static let transient = backOff(base: .milliseconds(100), cap: .seconds(5))
  /// The server is alive and says that it is about to accept logins.
  private static let starting = backOff(base: .milliseconds(100), cap: .seconds(2))
  /// The server is full: knocking makes it worse.
  private static let full = backOff(base: .seconds(1), cap: .seconds(30))
  /// Wrong settings.
  private static let configuration = steady(from: .seconds(30), to: .seconds(60))

  /// As `full`, but a few may come more often than many: from all instances together one in each `spread`, on average.
  static func full(fleet: Int?, spread: Duration) -> RetryPace {
    guard let fleet, case .backOff(let base, let longest) = full else { return full }
    let cap = max(.seconds(5), spread.scaled(by: 2 * Double(fleet)))
    return .backOff(base: base, cap: Swift.min(longest, cap))
  }

  /// All of a fleet together knock at a full server no more than eight times a second.
  private static let knocksSpread: Duration = .milliseconds(125)

  /// `repeated`: how often in a row it was this kind of fault. `failingFor`: since the first of them.
  /// `fleet`: how many instances there are, if that is known.
  static func after(_ fault: Fault, repeated: Int, failingFor: Duration, fleet: Int?) -> RetryPace {
    switch fault.kind {
    case .server(let state):
      switch state.code {
      case "57P03": starting
      case "53300": full(fleet: fleet, spread: knocksSpread)
      case "53200", "53100", "53400": full
      // The secret may have been rotated this very moment: it is read again once, soon.
      case "28P01": repeated <= 1 ? transient : configuration
      case "28000", "57P04", "0A000", "22023", "42501", "42704": configuration
      // A deploy may be creating the database right now.
      case "3D000": failingFor < .seconds(60) ? steady(from: .seconds(2.5), to: .seconds(7.5)) : configuration
      case "55000": steady(from: .seconds(5), to: .seconds(30))
      // PgBouncer answers so for 15 s after its own login failed.
      case "08P01": steady(from: .seconds(7.5), to: .seconds(15))
      default: transient
      }
    case .nameNotFound: failingFor < .seconds(60) ? transient : configuration
    case .tlsFailed, .passwordMissing, .misconfigured: configuration
    // An expired certificate may be renewed at any moment, and its files are read anew.
    case .certificate: steady(from: .seconds(15), to: .seconds(30))
    case .nameLookupFailed, .refused, .unreachable, .timedOut, .closed, .wrongRole, .otherCluster, .replayLag,
      .unexpectedAnswer, .attemptsStuck, .other:
      transient
    }
  }

  /// The wait before the next attempt. `failures` counts from 1.
  func delay(failures: Int, failingFor: Duration, random: inout RandomSource) -> Duration {
    switch self {
    case .backOff(let base, let cap):
      let grown = Swift.min(Self.longestCap, Swift.max(cap, failingFor / 20))
      let doubled = base.scaled(by: Double(UInt64(1) << UInt64(Swift.min(Swift.max(failures - 1, 0), 20))))
      return random.duration(from: .zero, to: Swift.min(grown, doubled))
    case .steady(let from, let to):
      return random.duration(from: from, to: to)
    }
  }
}
