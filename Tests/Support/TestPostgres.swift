import Foundation
import Synchronization

/// A throwaway PostgreSQL cluster of a test's own, on a Unix socket (anybody, no password) and on 127.0.0.1
/// (SCRAM, role `postgres`, password `secret`).
///
/// Prefer `withPostgres`: an object that nobody uses any more is released, and its server with it, even if the
/// variable is still in scope.
public final class TestPostgres: Sendable {
  /// How `stop` and `restart` end the sessions there are (PostgreSQL manual, "Shutting Down the Server").
  public enum Shutdown: Sendable {
    /// Waits until the clients have left.
    case smart
    /// Sessions end with 57P01.
    case fast
    /// Sessions are dropped with 57P02 and the next start recovers.
    case immediate

    var signal: Int32 {
      switch self {
      case .smart: SIGTERM
      case .fast: SIGINT
      case .immediate: SIGQUIT
      }
    }
  }

  public static let password = "secret"

  let directory: TemporaryDirectory
  let installation: PostgresInstallation
  let namespace: String?
  /// Where it listens for TCP.
  public let address: String
  let state: Mutex<State>

  struct State: Sendable {
    var postmaster: ChildProcess?
    var port: Int
    /// On top of `baseSettings`; what `start` and `reload` were given.
    var settings: [String: String]
  }

  /// Makes a cluster without starting it.
  ///
  /// With a namespace the server listens on all addresses in there, and `tcpURL` names `address`. The Unix
  /// socket is a file and works from everywhere.
  public static func make(
    settings: [String: String] = [:], namespace: String? = nil, address: String = "127.0.0.1"
  ) async throws -> TestPostgres {
    try await blocking {
      let template = try Template.made.get()
      let cluster = try TestPostgres(settings: settings, namespace: namespace, address: address)
      try runCheckedBlocking(["cp", "-a", "--reflink=auto", template, cluster.dataDirectory])
      return cluster
    }
  }

  /// Makes and starts a cluster.
  public static func started(
    settings: [String: String] = [:], namespace: String? = nil, address: String = "127.0.0.1"
  ) async throws -> TestPostgres {
    let cluster = try await make(settings: settings, namespace: namespace, address: address)
    try await cluster.start()
    return cluster
  }

  init(settings: [String: String], namespace: String?, address: String) throws {
    installation = try PostgresInstallation.found.get()
    directory = try TemporaryDirectory()
    installation.giveAway(directory.path)
    self.namespace = namespace
    self.address = address
    state = Mutex(State(postmaster: nil, port: freePort(), settings: settings))
  }

  deinit { close() }

  /// The Unix socket's directory, as in `host=`.
  public var socketDirectory: String { directory.path }
  public var dataDirectory: String { directory.file("data") }
  public var logPath: String { directory.file("log") }
  public var port: Int { state.withLock { $0.port } }
  /// The postmaster's, nil if it does not run.
  public var pid: pid_t? { state.withLock { $0.postmaster.flatMap { $0.isRunning ? $0.pid : nil } } }
  public var isRunning: Bool { pid != nil }

  /// A connection URI over the Unix socket, as superuser, without a password.
  public var unixURL: String { unixURL() }

  public func unixURL(user: String = "postgres", database: String = "postgres") -> String {
    let host = socketDirectory.replacingOccurrences(of: "/", with: "%2F")
    return "postgresql://\(user)@\(host):\(port)/\(database)"
  }

  /// A connection URI over TCP with SCRAM. A nil password leaves it out.
  public func tcpURL(
    user: String = "postgres", password: String? = TestPostgres.password, database: String = "postgres"
  ) -> String {
    "postgresql://\(user)\(password.map { ":\($0)" } ?? "")@\(address):\(port)/\(database)"
  }

  /// Starts the server, with more settings if given, and returns when it accepts connections (a standby without
  /// `hot_standby`: when it recovers). With `wait: false`, at once.
  public func start(_ settings: [String: String] = [:], wait: Bool = true) async throws {
    try await blocking { try self.startBlocking(settings, wait: wait) }
  }

  /// Stops the server and waits until it is gone.
  public func stop(_ mode: Shutdown = .fast, within limit: Duration = .seconds(30)) async throws {
    try await blocking { try self.stopBlocking(mode, within: limit) }
  }

  /// Stops and starts the server on the same port.
  public func restart(_ mode: Shutdown = .fast, settings: [String: String] = [:]) async throws {
    try await stop(mode)
    try await start(settings)
  }

  /// Changes settings that a reload can change. When it returns, every new session has them; existing sessions
  /// follow a moment later.
  public func reload(_ settings: [String: String]) async throws {
    try await blocking {
      let before = self.countInLog(matching: "received SIGHUP")
      self.state.withLock { $0.settings.merge(settings) { $1 } }
      try self.writeSettings()
      guard self.state.withLock({ $0.postmaster?.signal(SIGHUP) ?? false }) else {
        throw FixtureError("no server to reload")
      }
      guard
        eventuallyBlocking(within: .seconds(10), { self.countInLog(matching: "received SIGHUP") > before })
      else { throw FixtureError("the server did not reload:\n\(self.logTail)") }
    }
  }

  /// Returns when a query over the Unix socket succeeds.
  public func waitUntilAccepting(within limit: Duration = .seconds(30)) async throws {
    guard await eventually(within: limit, { try await self.sql("select 1") == "1" }) else {
      throw FixtureError("PostgreSQL does not accept connections within \(limit):\n\(logTail)")
    }
  }

  /// Ends the server if it runs and removes everything. Nothing else works afterwards.
  public func close() {
    if isRunning {
      if let postmaster = state.withLock({ $0.postmaster }) {
        resumeBlocking()
        postmaster.signal(SIGQUIT)
        _ = postmaster.waitBlocking(within: .seconds(3))
      }
      killBlocking()
    }
    removeSharedMemory()
    directory.remove()
  }

  private func startBlocking(_ settings: [String: String], wait: Bool) throws {
    if isRunning { throw FixtureError("the server runs already") }
    state.withLock { $0.settings.merge(settings) { $1 } }
    let mayMove = state.withLock { $0.postmaster == nil }
    while true {
      try writeSettings()
      let postmaster = try launch()
      state.withLock { $0.postmaster = postmaster }
      if !wait { return }
      if eventuallyBlocking(within: .seconds(60), { !postmaster.isRunning || self.startedUp }),
        postmaster.isRunning
      {
        return
      }
      // Between the choice of a port and its use, somebody else may have taken it.
      if mayMove, !postmaster.isRunning, logTail.contains("could not bind") {
        state.withLock { $0.port = freePort() }
        continue
      }
      throw FixtureError("PostgreSQL does not start:\n\(logTail)")
    }
  }

  private func launch() throws -> ChildProcess {
    let log = open(logPath, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    let null = open("/dev/null", O_RDONLY | O_CLOEXEC)
    guard log >= 0, null >= 0 else { throw FixtureError("cannot open \(logPath): \(errnoText())") }
    defer {
      Glibc.close(log)
      Glibc.close(null)
    }
    let place = namespace.map { ["ip", "netns", "exec", $0] } ?? []
    return try ChildProcess(
      place + installation.asServerUser + [installation.program("postgres"), "-D", dataDirectory],
      input: null, output: log, errors: log)
  }

  /// The postmaster writes its status into line 8 of its pid file, as `pg_ctl` reads it.
  private var startedUp: Bool {
    guard let file = try? String(contentsOfFile: dataDirectory + "/postmaster.pid", encoding: .utf8) else {
      return false
    }
    let lines = file.split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.count > 7, pid_t(lines[0]) == pid else { return false }
    return lines[7].hasPrefix("ready") || lines[7].hasPrefix("standby")
  }

  private func stopBlocking(_ mode: Shutdown, within limit: Duration) throws {
    guard let postmaster = state.withLock({ $0.postmaster }), postmaster.isRunning else { return }
    postmaster.signal(mode.signal)
    guard postmaster.waitBlocking(within: limit) != nil else {
      throw FixtureError("PostgreSQL does not stop within \(limit):\n\(logTail)")
    }
  }

  private func writeSettings() throws {
    let (port, settings) = state.withLock { ($0.port, $0.settings) }
    var all = Self.baseSettings
    all["port"] = String(port)
    all["unix_socket_directories"] = socketDirectory
    all["listen_addresses"] = namespace == nil ? "127.0.0.1" : "*"
    all.merge(settings) { $1 }
    let text = all.sorted { $0.key < $1.key }
      .map { "\($0) = '\($1.replacingOccurrences(of: "'", with: "''"))'\n" }.joined()
    let path = dataDirectory + "/test.conf"
    try text.write(toFile: path, atomically: true, encoding: .utf8)
    chmod(path, 0o600)
    installation.giveAway(path)
  }

  private static let baseSettings = [
    // Without them a kill of the server still loses nothing, only one of the machine would.
    "fsync": "off", "full_page_writes": "off",
    "shared_buffers": "4MB", "max_wal_size": "32MB", "min_wal_size": "2MB",
    "autovacuum": "off",
    // A killed server leaves segments in /dev/shm behind; a file in its directory goes with it.
    "dynamic_shared_memory_type": "mmap",
    "log_connections": "on", "log_disconnections": "on",
    "log_line_prefix": "%m [%p] app=%a state=%e ", "log_timezone": "UTC",
    "max_wal_senders": "4", "wal_level": "replica",
  ]
}

/// Runs `body` with a started cluster and removes it afterwards. A few tests at a time may; the others wait here, so
/// anything that is timed is better begun inside.
public func withPostgres<Result>(
  _ settings: [String: String] = [:], namespace: String? = nil, address: String = "127.0.0.1",
  _ body: (TestPostgres) async throws -> Result
) async throws -> Result {
  try await MachineShare.use {
    let cluster = try await TestPostgres.started(settings: settings, namespace: namespace, address: address)
    do {
      let result = try await body(cluster)
      await blocking { cluster.close() }
      return result
    } catch {
      await blocking { cluster.close() }
      throw error
    }
  }
}

/// The result of `initdb`, made once per test process and copied for every cluster.
enum Template {
  static let made = Result { try make() }

  private static let directory = Result { try TemporaryDirectory() }

  private static func make() throws -> String {
    let directory = try Template.directory.get()
    let data = directory.file("data")
    try makeCluster(data, in: directory)
    return data
  }

  static func makeCluster(_ data: String, in directory: TemporaryDirectory) throws {
    let installation = try PostgresInstallation.found.get()
    installation.giveAway(directory.path)
    let password = try directory.write("password", TestPostgres.password)
    installation.giveAway(password)
    try runCheckedBlocking(
      installation.asServerUser + [
        installation.program("initdb"), "-D", data, "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync",
        "--auth-local=trust", "--auth-host=scram-sha-256", "--pwfile=\(password)", "--wal-segsize=1",
      ])
    try append("include 'test.conf'\n", to: data + "/postgresql.conf")
    // Only a server in a network namespace listens on more than loopback.
    try append(
      "host all all all scram-sha-256\nhost replication all all scram-sha-256\n", to: data + "/pg_hba.conf")
  }

  private static func append(_ text: String, to path: String) throws {
    let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
    try file.seekToEnd()
    try file.write(contentsOf: Data(text.utf8))
    try file.close()
  }
}
