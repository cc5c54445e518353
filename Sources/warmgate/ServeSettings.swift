import Health
import PoolCore
import Postgres

/// Everything `serve` is told: defaults, environment and flags merged. A value; `SettingsTable` fills it.
struct ServeSettings: Sendable {
  var pool = PoolSettings()

  /// A connection URI or keyword string, nil for libpq's own variables, service file and passfile. May hold a
  /// password: only `--print-settings` shows it, with the password hidden.
  var databaseURL: String?
  /// Read again before every login.
  var passwordFile: String?

  var listen = ServeSettings.defaultListen
  var adminListen = ServeSettings.defaultAdminListen
  var adminTokenFile: String?
  var agentListen: ListenAddress?
  /// In percent.
  var agentDegradedWeight = 100
  var grpcListen: ListenAddress?

  var requireRole = RequiredRole.any
  var maxReplayLag: Duration?
  var probeQuery = "SELECT 1"
  /// The first column's required value. Nil: any.
  var probeExpect: String?

  var drainMarker: String?

  /// Before the slash of every session's application_name; see `InstanceName`.
  var applicationName = "warmgate"
  /// Names the sessions of the application beside it. Nil: they are known by their address.
  var appNamePrefix: String?
  var ticketsDatabase: String?
  var probersMustSee = 3
  /// Nil: text on a terminal, JSON otherwise.
  var logFormat: LogFormat?
  var logLevel = LogLevel.info

  /// Where each setting that is not a default came from, by flag.
  var sources: [String: Source] = [:]

  enum Source: Hashable, Sendable {
    case standard
    case flag
    /// With the variable's name.
    case environment(String)
  }

  func source(of flag: String) -> Source { sources[flag] ?? .standard }

  /// `[::]`, which takes IPv4 as well, or `0.0.0.0` on a machine without IPv6.
  static let defaultListen = constantAddress(":8086")
  static let defaultAdminListen = constantAddress("127.0.0.1:8087")

  /// Of a text that is part of the program, so it can be read.
  private static func constantAddress(_ text: String) -> ListenAddress { try! ListenAddress(parsing: text) }
}
