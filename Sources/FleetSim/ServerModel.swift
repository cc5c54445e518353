import PoolCore

/// What the modelled server is like. A model, not a benchmark: its purpose is to compare strategies on the same server.
public struct ServerModel: Hashable, Sendable {
  /// `max_connections`.
  public var slots: Int
  /// Slots that the fleet cannot have.
  public var reserved = 3
  /// Logins that are worked on at the same time; others wait in the order in which they came.
  public var workers = 2
  /// Logins that it completes in a second when every worker is busy.
  public var loginsPerSecond = 150.0
  /// How much longer a login takes when every worker is busy than alone, less one: 0.5 is half as long again.
  public var crowding = 0.5
  /// From a question to its answer, and from a login to its refusal.
  public var latency: Duration = .milliseconds(1)
  /// A client gives its login up after so long. The server does not notice.
  public var connectTimeout: Duration = .seconds(5)

  /// A server with so many slots, otherwise as calibrated.
  public init(slots: Int) { self.slots = slots }

  /// What the fleet and others can have.
  var capacity: Int { max(0, slots - reserved) }

  /// How long a worker takes for a login, when so many are busy with it.
  func cost(busy: Int) -> Duration {
    let full = Double(workers) / loginsPerSecond
    guard workers > 1 else { return Duration.seconds(1).scaled(by: full) }
    let share = Double(busy - 1) / Double(workers - 1)
    return Duration.seconds(1).scaled(by: full * (1 + crowding * share) / (1 + crowding))
  }
}
