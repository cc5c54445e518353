import Support
import Testing

@Suite("leaks that only the server sees")
struct SessionLeakTests {
  @Test("a sidecar reports a session of the application beside it that is idle in a transaction")
  func neighbour() async throws {
    try await withSidecarAndPostgres(["--leak-after", "1s", "--probe-interval", "1s"]) { sidecar, pg in
      try await sidecar.waitUntilReady()
      let application = try await pg.session(applicationName: "orders", password: TestPostgres.password)
      let pid = Int(try await application.ask("select pg_backend_pid()"))
      _ = try await application.ask("begin")
      let found = await sidecar.logEntry(within: .seconds(30)) {
        $0.message == "a session leaks: idle in a transaction"
      }
      #expect(found?.level == "warn")
      #expect(found?["backend_pid"].int == pid)
      #expect(found?["application_name"].string == "orders" && found?["own"].bool == false)
      #expect(
        await eventually(within: .seconds(30)) {
          let leaks = try await sidecar.status()["session_leaks"]
          return leaks["total"].int == 1 && leaks["open"][0]["backend_pid"].int == pid
            && leaks["scope"].string == "client_address" && leaks["limits"].array.isEmpty
        })
      #expect(try await sidecar.ready().status == 200)
      _ = try await application.ask("commit")
      let ended = await sidecar.logEntry(within: .seconds(30)) {
        $0.message == "a session no longer leaks"
      }
      #expect(ended?["backend_pid"].int == pid)
      await application.end()
    }
  }

  @Test(
    "behind address translation a sidecar knows its own sessions only, and says what to do",
    .needsNetworkNamespaces)
  func translated() async throws {
    let path = try await NetworkPath()
    defer { path.remove() }
    try await path.masquerade()
    try await withPostgres(namespace: path.server, address: NetworkPath.serverAddress) { pg in
      let flags = ["--leak-after", "1s", "--probe-interval", "1s"]
      try await withSidecar(flags, url: pg.tcpURL(), namespace: path.client) { sidecar in
        try await sidecar.waitUntilReady()
        #expect(
          await eventually(within: .seconds(30)) {
            let leaks = try await sidecar.status()["session_leaks"]
            let limits = leaks["limits"].array.compactMap(\.string)
            return leaks["scope"].string == "instance" && limits.count == 1
              && limits[0].contains("app-name-prefix")
          })
      }
    }
  }

  @Test("a sidecar whose role may not see other roles' sessions says so, in its log and its status")
  func ordinaryRole() async throws {
    try await withPostgres { pg in
      _ = try await pg.sql("create role app login password '\(TestPostgres.password)'")
      let flags = ["--leak-after", "1s", "--probe-interval", "1s"]
      try await withSidecar(flags, url: pg.tcpURL(user: "app")) { sidecar in
        try await sidecar.waitUntilReady()
        let application = try await pg.session(password: TestPostgres.password)
        _ = try await application.ask("begin")
        let limit = "sessions of other roles are hidden: grant pg_read_all_stats to this role"
        let said = await sidecar.logEntry(within: .seconds(30)) {
          $0.message == "leaks are watched in part" && $0.reasons == [limit]
        }
        #expect(said?.level == "info")
        #expect(
          await eventually(within: .seconds(30)) {
            let leaks = try await sidecar.status()["session_leaks"]
            return leaks["limits"].array.compactMap(\.string) == [limit] && leaks["total"].int == 0
          })
        await application.end()
      }
    }
  }
}
