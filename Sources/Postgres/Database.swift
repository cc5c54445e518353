import PoolCore

/// Where the database is and how to log in, made from the settings without touching the network.
///
/// Anything that libpq accepts is accepted, and the parts of it that concern one host (name, address, port,
/// required role) are taken apart, because hosts are tried one by one with a deadline each.
///
/// What libpq is told differs from the URL in this: `application_name` is always ours, the URL's own loses;
/// `connect_timeout` is replaced by `connectTimeout`; `client_encoding` is UTF8; and unless the URL, the environment
/// or the service file say otherwise, `keepalives_idle=30`, `keepalives_interval=10`, `keepalives_count=3` and
/// `tcp_user_timeout=10000`, without which a connection into the void lives for about 15 minutes.
public struct Database: Sendable {
  /// The hosts, in the order in which they are tried. Never empty.
  public private(set) var hosts: [Host]
  /// One login attempt at one host: name, TCP, TLS, authentication.
  public let connectTimeout: Duration
  /// The role that a login insists on.
  public let role: RequiredRole
  /// The user that logs in.
  public let user: String
  /// The database's name.
  public private(set) var name: String

  /// What every attempt passes to libpq: all but the host's part and the password file's content.
  private(set) var options: [Option]
  let passwordFile: String?
  let order: HostOrder

  /// One option of libpq (PostgreSQL manual, 34.1.2 "Parameter Key Words"). Its value may be a secret.
  struct Option: Sendable {
    var keyword: String
    var value: String
  }

  /// - Parameters:
  ///   - url: a URI (`postgresql://…`) or a keyword string (`host=… dbname=…`) with any option of libpq and any
  ///     number of hosts; nil for libpq's own defaults (`PG*` variables, service file, password file).
  ///   - passwordFile: its first line is the password, read again before every login; it wins over the URL's.
  ///   - applicationName: what `pg_stat_activity` shows. The server cuts it at 63 bytes.
  ///   - connectTimeout: one login attempt at one host.
  ///   - role: `primary` and `standby` win over the URL's `target_session_attrs`, `any` leaves it in force.
  /// - Throws: in one line that never holds a piece of the URL which could be (part of) a password.
  public init(
    url: String?, passwordFile: String? = nil, applicationName: String,
    connectTimeout: Duration = .seconds(5), role: RequiredRole = .any
  ) throws(SettingsError) {
    let given = try ConnectionString(url)
    hosts = try given.hosts()
    self.connectTimeout = connectTimeout
    self.role = role
    self.passwordFile = passwordFile
    user = given["user"] ?? ""
    name = given["dbname"] ?? user
    order =
      switch role {
      case .primary: .one(attributes: "primary")
      case .standby: .one(attributes: "standby")
      case .any: try given.hostOrder()
      }
    var options = given.optionsForEveryHost
    func add(_ keyword: String, _ value: String, unlessGiven: Bool) {
      if unlessGiven, given[keyword] != nil { return }
      options.removeAll { $0.keyword == keyword }
      options.append(Option(keyword: keyword, value: value))
    }
    add("keepalives_idle", "30", unlessGiven: true)
    add("keepalives_interval", "10", unlessGiven: true)
    add("keepalives_count", "3", unlessGiven: true)
    add("tcp_user_timeout", "10000", unlessGiven: true)
    add("client_encoding", "UTF8", unlessGiven: false)
    add("application_name", applicationName, unlessGiven: false)
    self.options = options
  }

  /// A login takes a primary or nothing.
  public var insistsOnPrimary: Bool {
    order == .one(attributes: "primary") || order == .one(attributes: "read-write")
  }

  /// The same database at one of its hosts alone.
  public func at(_ host: Host) -> Database {
    var database = self
    database.hosts = [host]
    return database
  }

  /// Another database of the same servers, for the same role.
  public func inDatabase(_ name: String) -> Database {
    var database = self
    database.name = name
    database.options.removeAll { $0.keyword == "dbname" }
    database.options.append(Option(keyword: "dbname", value: name))
    return database
  }

  /// Throws, in a sentence, if the password file cannot be used now. Logins check it again every time.
  public func checkPasswordFile() throws(SettingsError) {
    guard let passwordFile else { return }
    do { _ = try PasswordFile.read(passwordFile) } catch {
      throw SettingsError("password-file", error.reason)
    }
  }
}

/// Which server a login insists on (`--require-role`).
public enum RequiredRole: String, Hashable, Sendable, CaseIterable {
  /// Whichever answers.
  case any
  /// One that can be written to.
  case primary
  /// One that follows a primary, and can only be read.
  case standby
}

/// In which order hosts are asked, and for what (`target_session_attrs`).
enum HostOrder: Hashable, Sendable {
  /// One pass over the hosts.
  case one(attributes: String)
  /// One pass that insists on a standby, then another over those that were none, taking what there is.
  case preferStandby
}

/// One host of the database URL.
public struct Host: Hashable, Sendable {
  /// Its position in the URL.
  public let id: HostID
  /// A name, an address, or the directory of a Unix socket (it begins with `/` or `@`). Empty if only `address` is given.
  public private(set) var name: String
  /// `hostaddr`: the address to use instead of looking up `name`, which then only serves to check certificates.
  public let address: String?
  /// The TCP port, also in the name of a Unix socket.
  public let port: Int

  /// A host of the URL's list.
  public init(id: HostID, name: String, address: String?, port: Int) {
    self.id = id
    self.name = name
    self.address = address
    self.port = port
  }

  /// Whether it is a Unix socket in a directory of this machine.
  public var isUnixSocket: Bool { address == nil && (name.hasPrefix("/") || name.hasPrefix("@")) }

  /// `host:port`, or the path of the Unix socket.
  public var label: String {
    if isUnixSocket { return "\(name)/.s.PGSQL.\(port)" }
    let host = name.isEmpty ? address ?? "" : name
    return host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
  }
}

// What a description of it may show is chosen here, because `options` may hold passwords.
extension Database: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  public var description: String {
    "database \(name) on \(hosts.map(\.label).joined(separator: ", ")) as \(user)"
  }
  public var debugDescription: String { description }
  public var customMirror: Mirror { Mirror(self, children: [], displayStyle: .struct) }
}
