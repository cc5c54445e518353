import Glibc
import Health
import PoolCore
import Postgres

extension ServeSettings {
  /// Throws the first combination that cannot work.
  func validate() throws(UsageError) {
    do {
      try pool.validate()
    } catch {
      throw refusal(of: error.setting, error.description)
    }
    if maxReplayLag != nil, requireRole != .standby {
      throw refusal(of: "max-replay-lag", "only a standby lags; add --require-role standby")
    }
    if ticketsDatabase != nil, pool.fleetTickets == 0 {
      throw refusal(of: "tickets-database", "nothing is taken there without tickets; add --fleet-tickets")
    }
    if probersMustSee > 100 {
      throw refusal(of: "probers-must-see", "must be at most 100: a drain would end at its timeout anyway")
    }
    if !(1...100).contains(agentDegradedWeight) {
      throw refusal(
        of: "agent-degraded-weight", "must be between 1 and 100: percent of the weight in HAProxy")
    }
    if adminTokenFile == nil, !adminListen.isLoopback, !adminListen.isUnix {
      throw refusal(
        of: "admin-listen",
        "anybody could drain this instance there; add --admin-token-file, or use 127.0.0.1 or unix:/path")
    }
    try validateListeners()
  }

  /// Each listener needs an address of its own.
  private func validateListeners() throws(UsageError) {
    var taken: [(flag: String, address: ListenAddress)] = []
    for (flag, address) in [
      ("listen", listen), ("admin-listen", adminListen), ("agent-listen", agentListen),
      ("grpc-listen", grpcListen),
    ] {
      guard let address else { continue }
      // With port 0 the system chooses, and never the same twice.
      if address.port != 0, let other = taken.first(where: { $0.address == address }) {
        throw refusal(of: flag, "is the address of --\(other.flag) as well; choose another")
      }
      taken.append((flag, address))
    }
  }

  /// The database as the settings describe it. Asks libpq whether it understands them; touches no network.
  ///
  /// - Throws: also if the password file cannot be used now.
  func database(applicationName: String) throws(UsageError) -> Database {
    do {
      let database = try Database(
        url: databaseURL, passwordFile: passwordFile, applicationName: applicationName,
        connectTimeout: pool.connectTimeout, role: requireRole)
      try database.checkPasswordFile()
      return database
    } catch {
      throw refusal(of: error.setting, error.description)
    }
  }

  /// Throws if a file that `serve` needs later cannot be used, so that a wrong mount is noticed at once and not at
  /// the first drain. `database` checks the password file.
  func checkFiles() throws(UsageError) {
    try checkToken()
    try checkMarker()
  }

  private func checkToken() throws(UsageError) {
    guard let adminTokenFile else { return }
    do {
      _ = try TokenFile.read(adminTokenFile)
    } catch {
      throw refusal(of: "admin-token-file", error.description)
    }
  }

  private func checkMarker() throws(UsageError) {
    guard let drainMarker else { return }
    var status = stat()
    let isDirectory = stat(drainMarker, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    if drainMarker.hasSuffix("/") || isDirectory {
      throw refusal(of: "drain-marker", "names a directory; give a file in it")
    }
    let directory = drainMarker.lastIndex(of: "/").map { drainMarker[...$0] } ?? "."
    if access(String(directory), W_OK | X_OK) != 0 {
      let why = errno == ENOENT ? "the directory does not exist" : "the directory is not writable"
      throw refusal(of: "drain-marker", "\(why); mount an emptyDir there or choose another path")
    }
  }
}
