import PoolCore

/// Something that happens to the fleet or its server. A scenario is a list of them, each with its time.
public enum Happening: Hashable, Sendable {
  /// So many instances run already, with all their connections, when the story begins.
  case warm(Share)
  /// So many start, with none.
  case start(Share)
  /// Those that run are replaced, so many at a time: for each new one that is ready, an old one ends and the next new
  /// one starts, as Kubernetes does with a surge and nothing unavailable.
  case roll(Share)
  /// All sessions end without a word, nothing listens for so long, and then the server says for a while that it is
  /// starting.
  case outage(Duration, starting: Duration)
  /// As `outage`, but sessions are told (57P01).
  case restart(Duration, starting: Duration)
  /// Others take so many slots, as far as they are free, and the rest as they become free.
  case occupy(Share, for: Duration)
  /// A login takes so many times as long.
  case slow(Double, for: Duration)
  /// So many instances have no network: nothing is refused, nothing is answered.
  case partition(Share, for: Duration)

  /// How long it lasts; zero for what happens once.
  public var duration: Duration {
    switch self {
    case .warm, .start, .roll: .zero
    case .outage(let down, let starting), .restart(let down, let starting): down + starting
    case .occupy(_, let time), .slow(_, let time), .partition(_, let time): time
    }
  }

  /// It stands in the way of logins while it lasts.
  var isTrouble: Bool { duration > .zero }
}

/// A number, or a part of all there are.
public enum Share: Hashable, Sendable {
  /// So many, or all if there are fewer.
  case count(Int)
  /// So many hundredths, rounded up.
  case percent(Int)

  /// Every one.
  public static let all = Share.percent(100)

  /// How many that is of `total`.
  public func of(_ total: Int) -> Int {
    switch self {
    case .count(let count): min(max(0, count), total)
    case .percent(let percent): min(total, (total * min(max(0, percent), 100) + 99) / 100)
    }
  }
}
