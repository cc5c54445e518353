import Foundation

/// Where the machine's PostgreSQL programs are, and as whom a server runs.
struct PostgresInstallation: Sendable {
  let directory: String
  /// A word to put before a command: PostgreSQL refuses to run as root, so root becomes `postgres`.
  let asServerUser: [String]
  let owner: (user: uid_t, group: gid_t)?

  static let found = Result { try PostgresInstallation() }

  private init() throws {
    let environment = ProcessInfo.processInfo.environment
    // Debian puts each version in a directory of its own, which is not in PATH.
    let versions = (try? FileManager.default.contentsOfDirectory(atPath: "/usr/lib/postgresql")) ?? []
    let candidates =
      [environment["PG_BIN"]].compactMap { $0 }
      + versions.compactMap { Int($0) }.sorted(by: >).map { "/usr/lib/postgresql/\($0)/bin" }
      + (environment["PATH"] ?? "").split(separator: ":").map(String.init)
    guard
      let directory = candidates.first(where: {
        FileManager.default.isExecutableFile(atPath: $0 + "/postgres")
          && FileManager.default.isExecutableFile(atPath: $0 + "/initdb")
      })
    else { throw FixtureError("no PostgreSQL server found: apt-get install postgresql, or set PG_BIN") }
    self.directory = directory
    guard geteuid() == 0 else {
      asServerUser = []
      owner = nil
      return
    }
    guard let entry = getpwnam("postgres") else {
      throw FixtureError("running as root needs the user postgres: apt-get install postgresql")
    }
    owner = (entry.pointee.pw_uid, entry.pointee.pw_gid)
    asServerUser = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
  }

  func program(_ name: String) -> String { "\(directory)/\(name)" }

  /// Makes the server's user the owner of a file or directory.
  func giveAway(_ path: String) {
    if let owner { chown(path, owner.user, owner.group) }
  }
}
