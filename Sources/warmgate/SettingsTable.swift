/// The settings of `serve`, in the order in which help and the README list them.
enum SettingsTable {
  static let all: [Setting] = database + addresses + pool + readiness + drain + identity

  static func setting(_ flag: String) -> Setting? { all.first { $0.flag == flag } }

  private static let database: [Setting] = [
    Setting(
      optional: "database-url", .database, .nonEmpty("URL", "a connection URI or keyword string"),
      \.databaseURL, unset: "DATABASE_URL, else libpq's PG* variables", isSecret: true,
      "connection URI or keyword string, with any libpq option and several hosts"),
    Setting(
      optional: "password-file", .database, .file, \.passwordFile, unset: "none",
      "read again before every login, so a rotated password is used at once"),
    Setting(
      "connect-timeout", .database, .duration, \.pool.connectTimeout,
      "one login attempt at one host: name, TCP, TLS, authentication"),
    Setting(
      "require-role", .database, .choice, \.requireRole,
      "the role the server must have"),
    Setting(
      optional: "max-replay-lag", .database, .duration, \.maxReplayLag, unset: "no limit",
      "with --require-role standby: how far its replay may be behind"),
  ]

  private static let addresses: [Setting] = [
    Setting(
      "listen", .addresses, .address, \.listen, defaultText: "[::]:8086, without IPv6 0.0.0.0:8086",
      "health endpoints and metrics, read-only, on both IP families"),
    Setting(
      "admin-listen", .addresses, .address, \.adminListen,
      "control endpoints: an address, or unix:/path"),
    Setting(
      optional: "admin-token-file", .addresses, .file, \.adminTokenFile, unset: "none",
      "required before an admin address other than loopback or a Unix socket is accepted"),
    Setting(
      optional: "agent-listen", .addresses, .address, \.agentListen, unset: "off",
      "HAProxy's agent check, read-only: one line to whoever connects"),
    Setting(
      "agent-degraded-weight", .addresses, .count, \.agentDegradedWeight,
      "what a degraded instance keeps of its weight in HAProxy, in percent; below 100 only with a large weight there: "
        + "HAProxy rounds down, and half of its default, 1, is no traffic"),
    Setting(
      optional: "grpc-listen", .addresses, .address, \.grpcListen, unset: "off",
      "the gRPC health protocol, read-only: HTTP/2 with prior knowledge, without TLS"),
  ]

  private static let pool: [Setting] = [
    Setting(
      "min-connections", .pool, .count, \.pool.minConnections,
      "warmed floor; counts the probe's own connection"),
    Setting(
      "elastic-min", .pool, .`switch`, \.pool.elasticMin,
      "where the fleet cannot all have min-connections, settle for an equal share of the room, ready as degraded"
    ),
    Setting(
      "max-connections", .pool, .count, \.pool.maxConnections,
      "ceiling, everything counted: the probe's connection and replacements too"),
    Setting(
      "acquire-timeout", .pool, .duration, \.pool.acquireTimeout,
      "how long a caller may wait for a connection"),
    Setting(
      optional: "max-waiting", .pool, .count, \.pool.maxWaiting, unset: "4 × max-connections",
      "how many callers may wait; one more is refused at once"),
    Setting(
      "idle-timeout", .pool, .duration, \.pool.idleTimeout,
      "connections above the floor are closed after this long without use"),
    Setting(
      "max-lifetime", .pool, .duration, \.pool.maxLifetime,
      "connections are replaced at this age, less up to 25 %"),
    Setting(
      "health-check-interval", .pool, .duration, \.pool.healthCheckInterval,
      "how often an idle connection is asked an empty query"),
    Setting(
      "leak-after", .pool, .duration, \.pool.leakAfter,
      "a lease held this long is reported; it is never closed"),
    Setting(
      optional: "app-name-prefix", .pool, .nonEmpty("PREFIX", "the beginning of an application_name"),
      \.appNamePrefix, unset: "none, by client address",
      "whose sessions, besides its own, are watched for leaks at the server: idle in a transaction for longer "
        + "than leak-after"),
    Setting(
      "fleet-tickets", .pool, .count, \.pool.fleetTickets,
      "how many instances may warm at the same moment, by advisory locks of the database; 0 is off"),
    Setting(
      optional: "tickets-database", .pool, .nonEmpty("NAME", "the name of a database"), \.ticketsDatabase,
      unset: "its own",
      "where the tickets are taken, for instances that use different databases"),
    Setting(
      "hold-for-app", .pool, .count, \.pool.holdForApp,
      "with tickets: keep it until the application has so many sessions of its own, and need slots for them too"
    ),
    Setting(
      "splay", .pool, .duration, \.pool.splay,
      "upper bound of a random wait before the first login of a process"),
  ]

  private static let readiness: [Setting] = [
    Setting(
      "probe-query", .readiness, .nonEmpty("SQL", "a query"), \.probeQuery,
      "the question that decides readiness"),
    Setting(
      optional: "probe-expect", .readiness, .text("TEXT"), \.probeExpect, unset: "anything",
      "the value the answer's first column must have"),
    Setting(
      "probe-interval", .readiness, .duration, \.pool.probeInterval,
      "time between probes; after a first failure the next follows within 250ms"),
    Setting(
      "probe-timeout", .readiness, .duration, \.pool.probeTimeout,
      "a probe without an answer after this long has failed"),
    Setting(
      "rise", .readiness, .count, \.pool.rise,
      "answered probes in a row that make an unready instance ready"),
    Setting(
      "fall", .readiness, .count, \.pool.fall,
      "failed probes in a row that make a ready instance unready"),
    Setting(
      "when-database-lost", .readiness, .lostPolicy, \.pool.whenDatabaseLost,
      "stay ready, for a time or for as long as it takes, when the server itself names a cause that every "
        + "instance shares (starting, full, shutting down)"),
  ]

  private static let drain: [Setting] = [
    Setting(
      "drain-delay", .drain, .duration, \.pool.drainDelay,
      "unready but still serving, so that load balancers notice"),
    Setting(
      "drain-timeout", .drain, .duration, \.pool.drainTimeout,
      "from the start of a drain until leases are cut off; includes the delay"),
    Setting(
      "probers-must-see", .drain, .count, \.probersMustSee,
      "a drain goes on serving until each load balancer that asks regularly was told so often, at most until 5s before "
        + "its end; 0 waits for none"),
    Setting(
      optional: "drain-marker", .drain, .file, \.drainMarker, unset: "none",
      "a file that a drain writes and a resume removes; found at start, the process starts drained"),
  ]

  private static let identity: [Setting] = [
    Setting(
      "application-name", .identity, .applicationName, \.applicationName,
      "name of the sessions at the server, followed by /, the tail of HOSTNAME and a random id"),
    Setting(
      optional: "log-format", .identity, .choice, \.logFormat, unset: "text on a terminal, else json",
      "form of the log lines on standard error"),
    Setting(
      "log-level", .identity, .choice, \.logLevel,
      "the least level that is logged"),
  ]
}
