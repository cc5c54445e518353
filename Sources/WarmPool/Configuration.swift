public import PoolCore
public import Postgres

extension WarmPool {
  /// Everything a pool needs to know: where the database is, what to ask it, and the limits of `PoolSettings`.
  public struct Configuration: Sendable {
    /// A URI or keyword string with any libpq option, several hosts included. Nil: libpq's own `PG*` variables,
    /// service file and passfile.
    public var databaseURL: String?
    /// Read again before every login, so that a rotated secret works without a restart.
    public var passwordFile: String?
    /// Names this instance in `pg_stat_activity`; PostgreSQL keeps 63 bytes of it. With `elasticMin`, instances are
    /// told apart by it, and those with the same beginning up to the slash are a fleet: `shop/pod-1`.
    public var applicationName = "warmpool"
    /// Sessions whose `application_name` begins so belong to neighbours of this instance (the application in its pod):
    /// those that sit idle in a transaction are reported as leaks too. Nil: sessions from the same client address, where
    /// the server sees it.
    public var applicationNamePrefix: String?
    /// The role a server must have: others of the list are passed over.
    public var requireRole = RequiredRole.any
    /// With `requireRole` standby: a standby further behind than this is not ready. Nil: any lag will do.
    public var maxReplayLag: Duration?
    /// The question whose answer decides readiness. One statement.
    public var probeQuery = "SELECT 1"
    /// What the first column of its first row must be, as text. Nil: any answer will do.
    public var probeExpect: String?
    /// Whether a statement that is asked again on a connection is prepared at the server, which saves it parsing and
    /// planning. Behind a pooler that gives each transaction to another server (PgBouncer with `pool_mode =
    /// transaction`) set it to false: what was prepared is not there, outside a transaction the statement is then asked
    /// anew, within one it fails.
    public var preparesStatements = true
    /// With `fleetTickets`: the database in which they are taken, where the instances of a fleet use different ones:
    /// advisory locks are a database's. It takes one more session while it warms. Nil: its own.
    public var ticketsDatabase: String?
    /// The pool's limits and times.
    public var pool = PoolSettings()
    /// Asked twice a second while a drain lets traffic go on: whether all who send it have noticed. Until then it goes on,
    /// as far as the drain's deadline allows. Called on the pool's loop: it must return at once. Nil: nobody is waited
    /// for.
    public var probersTold: (@Sendable () -> Bool)?
    /// A drain marker was found: begin drained, and wait for `resume`.
    public var startDrained = false

    /// The defaults for this database; nothing is checked yet.
    public init(databaseURL: String? = nil) { self.databaseURL = databaseURL }

    /// The floor of open connections; see `PoolSettings`.
    public var minConnections: Int {
      get { pool.minConnections }
      set { pool.minConnections = newValue }
    }

    /// The ceiling of open connections; see `PoolSettings`.
    public var maxConnections: Int {
      get { pool.maxConnections }
      set { pool.maxConnections = newValue }
    }

    func validate() throws(SettingsError) {
      try pool.validate()
      if probeQuery.allSatisfy(\.isWhitespace) {
        throw SettingsError("probe-query", "must not be empty; SELECT 1 is the default")
      }
      if let ticketsDatabase {
        if pool.fleetTickets == 0 {
          throw SettingsError("tickets-database", "needs fleet-tickets: without them nothing is taken there")
        }
        if ticketsDatabase.isEmpty {
          throw SettingsError("tickets-database", "must be the name of a database")
        }
      }
      if let maxReplayLag {
        if requireRole != .standby {
          throw SettingsError("max-replay-lag", "needs require-role standby: only a standby lags behind")
        }
        if maxReplayLag <= .zero {
          throw SettingsError(
            "max-replay-lag", "must be longer than zero, or a standby that works is never close enough")
        }
      }
    }
  }
}
