import Foundation

extension TestPostgres {
  /// Makes and starts a streaming standby of this server, on its own port, as a hot standby unless `settings` say
  /// otherwise. Settings of this server are carried over.
  public func makeStandby(settings: [String: String] = [:]) async throws -> TestPostgres {
    let inherited = state.withLock { $0.settings }
    let standby = try await blocking {
      let standby = try TestPostgres(
        settings: inherited.merging(settings) { $1 }, namespace: self.namespace, address: self.address)
      try runCheckedBlocking(
        self.installation.asServerUser + [
          self.installation.program("pg_basebackup"), "-D", standby.dataDirectory, "-R", "-X", "stream",
          "--checkpoint=fast", "--no-sync", "-U", "postgres", "-h", self.socketDirectory, "-p",
          "\(self.port)",
        ])
      return standby
    }
    try await standby.start()
    return standby
  }

  /// Makes a standby the primary; returns when it accepts writes.
  public func promote() async throws {
    guard try await sql("select pg_promote(true, 30)", within: .seconds(40)) == "t" else {
      throw FixtureError("the standby was not promoted:\n\(logTail)")
    }
  }
}
