import PoolCore

/// A way of logging in that can be simulated.
public enum Strategy: String, Hashable, Sendable, CaseIterable {
  /// The shipped `PoolCore`.
  case warmgate
  /// Every connection by itself, at once.
  case everySlot = "every-slot"
  /// The pool of PostgresNIO.
  case postgresNIO = "postgres-nio"
  /// HikariCP.
  case hikariCP = "hikaricp"
  /// psycopg_pool.
  case psycopgPool = "psycopg-pool"
  /// PgBouncer.
  case pgBouncer = "pgbouncer"

  /// One line.
  public var summary: String {
    switch self {
    case .warmgate: "this pool, the code that serve runs"
    case .everySlot: "every connection logs in by itself, again after 100 ms"
    case .postgresNIO: "up to 20 at once; after a failure one, 100 ms × 1.25 each time ± 3 %"
    case .hikariCP: "one after the other with 30 ms rest; after a failure 10 ms, doubling up to 5 s"
    case .psycopgPool: "three workers; each connection again after 1 s ± 10 %, doubling, for 5 minutes"
    case .pgBouncer: "one after the other; after a failure 15 s"
    }
  }

  /// Tells the story of `setup` with this strategy.
  public func run(_ setup: Setup) -> Outcome {
    switch self {
    case .warmgate:
      var settings = PoolSettings()
      settings.minConnections = setup.connections
      settings.maxConnections = setup.connections
      settings.connectTimeout = setup.model.connectTimeout
      var simulation = Simulation(setup, self) { PoolCore(settings: settings, seed: $0, at: $1) }
      return simulation.run()
    case .everySlot: return run(setup, EverySlotAtOnce.self)
    case .postgresNIO: return run(setup, PostgresNIOPolicy.self)
    case .hikariCP: return run(setup, HikariCPPolicy.self)
    case .psycopgPool: return run(setup, PsycopgPoolPolicy.self)
    case .pgBouncer: return run(setup, PgBouncerPolicy.self)
    }
  }

  private func run<Policy: LoginPolicy>(_ setup: Setup, _: Policy.Type) -> Outcome {
    var simulation = Simulation(setup, self) { seed, _ in
      PolicyInstance<Policy>(connections: setup.connections, seed: seed)
    }
    return simulation.run()
  }
}
