/// What the pool's decisions depend on. Everything about *how* to reach the database is the shell's.
public struct PoolSettings: Hashable, Sendable {
  /// Warmed floor: open connections that `/ready` waits for and that are kept. Counts the probe's own.
  public var minConnections = 2
  /// Settles for an equal share of the room, at least one connection, where the fleet cannot all have `minConnections`.
  public var elasticMin = false
  /// So many instances may warm at the same moment, through advisory locks of the database; 0: as many as want to.
  public var fleetTickets = 0
  /// With `fleetTickets`: so many sessions of the application beside this pool are waited for before the ticket is given
  /// back, and slots for them are needed besides the floor.
  public var holdForApp = 0
  /// Ceiling, everything counted: the probe's connection, logins under way, replacements.
  public var maxConnections = 10
  /// How long a caller may wait for a connection unless it says otherwise.
  public var acquireTimeout: Duration = .seconds(2)
  /// How many may wait; one more is refused at once. Nil: 4 × `maxConnections`.
  public var maxWaiting: Int?
  /// Above the floor, a connection idle for this long (± 20 %) is closed.
  public var idleTimeout: Duration = .seconds(300)
  /// A connection is replaced at this age (− 0…25 %).
  public var maxLifetime: Duration = .seconds(1800)
  /// An idle connection is asked an empty query this often (± 20 %).
  public var healthCheckInterval: Duration = .seconds(30)
  /// A lease held this long is reported.
  public var leakAfter: Duration = .seconds(30)
  /// From one probe to the next.
  public var probeInterval: Duration = .seconds(5)
  /// A probe that has not been answered by then has failed.
  public var probeTimeout: Duration = .seconds(1)
  /// One login attempt at one host. The shell enforces it; the core needs it to judge freshness.
  public var connectTimeout: Duration = .seconds(5)
  /// Probe successes in a row that make an unready instance ready.
  public var rise = 1
  /// Probe failures in a row that make a ready instance unready.
  public var fall = 2
  /// What a ready instance says once no connection answers the probe.
  public var whenDatabaseLost = LostPolicy.unready
  /// The least time of a drain's lame duck phase.
  public var drainDelay: Duration = .seconds(5)
  /// Start of a drain to its deadline, the delay included.
  public var drainTimeout: Duration = .seconds(25)
  /// Upper bound of the random wait before the first login of a process.
  public var splay: Duration = .zero

  /// The defaults.
  public init() {}

  /// How many may wait, `maxWaiting` or its default.
  public var waitingLimit: Int { maxWaiting ?? 4 * maxConnections }

  /// A ready verdict is not believed when its last good probe is older than this (design: interval plus three
  /// timeouts, so that a failed probe and its witnesses fit in).
  public var probeTrust: Duration { probeInterval + probeTimeout + probeTimeout + probeTimeout }
}

/// What an instance that was ready says once no connection answers the probe any more (`--when-database-lost`).
public enum LostPolicy: Hashable, Sendable {
  /// Unready, whatever the cause.
  case unready
  /// Ready (degraded) for this long when the server itself named the cause, unready otherwise.
  case hold(Duration)
  /// Ready (degraded) without limit when the server itself named the cause, for 30 s on silence and refusal.
  case stay
}

/// A combination of settings that cannot work, in a sentence that says what to do.
public struct SettingsError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The setting's flag without its dashes, such as `min-connections`.
  public let setting: String
  public let description: String

  /// `description` says what is wrong, and what to do.
  public init(_ setting: String, _ description: String) {
    self.setting = setting
    self.description = description
  }
}

extension PoolSettings {
  /// Throws the first combination that cannot work, with the reason for the bound.
  public func validate() throws(SettingsError) {
    func require(_ holds: Bool, _ setting: String, _ why: String) throws(SettingsError) {
      if !holds { throw SettingsError(setting, why) }
    }
    try require(minConnections >= 1, "min-connections", "must be at least 1: the probe needs a connection")
    try require(
      maxConnections >= minConnections, "max-connections",
      "must be at least min-connections (\(minConnections)): the ceiling counts the floor")
    try require(
      maxConnections <= 10_000, "max-connections", "must be at most 10000: no server takes more from one pool"
    )
    try require(
      waitingLimit >= 0, "max-waiting", "must not be negative; 0 refuses whoever would have to wait")
    try require(
      waitingLimit <= 1_000_000, "max-waiting", "must be at most 1000000: each takes memory while it waits")
    try require(
      acquireTimeout > .zero, "acquire-timeout", "must be longer than zero, or no caller could wait")
    try require(
      idleTimeout >= .seconds(1), "idle-timeout", "must be at least 1s, or connections only come and go")
    try require(
      maxLifetime >= .seconds(1), "max-lifetime", "must be at least 1s, or connections only come and go")
    try require(
      healthCheckInterval >= .seconds(1), "health-check-interval",
      "must be at least 1s, or keep-alives are a load of their own")
    // The defaults give way to a short lifetime: nobody who sets that alone has asked for a contradiction.
    let defaults = PoolSettings()
    try require(
      healthCheckInterval < maxLifetime || healthCheckInterval == defaults.healthCheckInterval,
      "health-check-interval",
      "must be shorter than max-lifetime (\(maxLifetime.inTenths)), or no connection lives to be asked")
    try require(
      idleTimeout <= maxLifetime || idleTimeout == defaults.idleTimeout, "idle-timeout",
      "must not be longer than max-lifetime (\(maxLifetime.inTenths)), or nothing is ever idle for so long")
    try require(leakAfter > .zero, "leak-after", "must be longer than zero, or every lease is a leak")
    try require(
      probeInterval >= .milliseconds(100), "probe-interval",
      "must be at least 100ms, or probes are a load of their own")
    try require(
      probeTimeout >= .milliseconds(10), "probe-timeout",
      "must be at least 10ms, or a server that works is too slow for it")
    try require(
      probeTimeout <= probeInterval, "probe-timeout",
      "must not be longer than probe-interval, or probes would overlap")
    try require(
      connectTimeout >= .milliseconds(100), "connect-timeout",
      "must be at least 100ms, or no login over a network ends in time")
    for (count, setting) in [(rise, "rise"), (fall, "fall")] {
      try require(
        (1...100).contains(count), setting,
        "must be between 1 and 100: it counts probes, and readiness waits for them")
    }
    try require(
      drainDelay >= .zero, "drain-delay", "must not be negative; zero closes as soon as nobody comes")
    try require(
      drainTimeout >= drainDelay, "drain-timeout", "must be at least drain-delay: it includes the delay")
    try require(
      (0...1000).contains(fleetTickets), "fleet-tickets",
      "must be between 0 (off) and 1000: each is a lock, and more of them hold nobody back")
    try require(
      (0...10_000).contains(holdForApp), "hold-for-app",
      "must be between 0 (off) and 10000: no server takes more from one application")
    try require(
      holdForApp == 0 || fleetTickets > 0, "hold-for-app",
      "needs fleet-tickets: it is a ticket that is kept until the application has its sessions")
    try require(splay >= .zero, "splay", "must not be negative; zero is no wait")
  }
}
