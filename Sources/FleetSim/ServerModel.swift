import PoolCore

/// What the modelled server is like. A model, not a benchmark: its purpose is to compare strategies on the same server.
///
/// Its defaults are those of PostgreSQL 15 on two processors that it shares with its clients, TCP and SCRAM-SHA-256, as
/// `scripts/calibrate` measured them:
///
///     at a time      1      2      4      8     16     32
///     logins/s     124    184    196    200    191    194
///     median ms    6.4    9.4   19.5   39.0   72.7  149.7
///
/// So there is work for as many as there are processors; two at a time take half as long again as one alone, and beyond
/// that the rate stays and everybody waits. Without a password, over a Unix socket, it is 500 to 630 a second.
public struct ServerModel: Hashable, Sendable {
  /// `max_connections`.
  public var slots: Int
  /// Slots that the fleet cannot have.
  public var reserved = 3
  /// Logins that are worked on at the same time; others wait in the order in which they came.
  public var workers = 2
  /// Logins that it completes in a second when every worker is busy.
  public var loginsPerSecond = 190.0
  /// How much longer a login takes when every worker is busy than alone, less one: 0.5 is half as long again.
  public var crowding = 0.5
  /// What a worker needs for the start of an instance, where they share a machine: the process, up to its first login.
  /// Zero: instances start elsewhere.
  public var startCost: Duration = .zero
  /// From a question to its answer, and from a login to its refusal.
  public var latency: Duration = .milliseconds(1)
  /// A client gives its login up after so long. The server does not notice.
  public var connectTimeout: Duration = .seconds(5)

  /// A server with so many slots, otherwise as calibrated.
  public init(slots: Int) { self.slots = slots }

  /// How long a login takes that is alone.
  public var loginAlone: Duration { cost(busy: 1) }

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
