import Support
import Testing

@Suite("a host name that cannot be looked up", .needsNetworkNamespaces)
struct NamesTests {
  @Test(
    "a name that does not resolve: alive, not ready for the name, and gone within a second",
    arguments: [
      (
        NameServer.Behaviour.noSuchName, "name: host name does not exist", "name_not_found",
        "Check the host name in --database-url"
      ),
      (.failure, "name: host name lookup failed", "name_lookup_failed", "The resolver does not answer"),
    ])
  func unresolved(behaviour: NameServer.Behaviour, words: String, kind: String, advice: String) async throws {
    try await withNetworkPath { path in
      let names = try NameServer(behaviour, namespace: path.client)
      defer { names.stop() }
      try path.setClientResolver(NameServer.address, options: "timeout:1 attempts:1")
      let url = "postgresql://app@db.example.com/app"
      try await expectCheck([], url: url, namespace: path.client, toFailAt: "name", advising: advice)
      try await withSidecar(url: url, namespace: path.client) { sidecar in
        try await sidecar.expectNotReady(because: "warming 0/2, \(words)")
        let reason = try await sidecar.verdict()["reasons"][0]
        #expect(reason["step"].string == "name")
        let fault = try await sidecar.lastLoginFault()
        #expect(fault["kind"].string == kind)
        #expect(fault["detail"].string?.contains("db.example.com:5432") == true)
        #expect(names.questions > 0)
        await sidecar.expectEndWithinASecond()
      }
    }
  }

  @Test("a name that does not resolve does not keep the other hosts from being tried")
  func otherHost() async throws {
    try await withRemotePostgres { path, pg in
      let names = try NameServer(.noSuchName, namespace: path.client)
      defer { names.stop() }
      try path.setClientResolver(NameServer.address, options: "timeout:1 attempts:1")
      let url =
        "postgresql://postgres:\(TestPostgres.password)@db.example.com:\(pg.port),\(pg.address):\(pg.port)/postgres"
      try await withSidecar(url: url, namespace: path.client) { sidecar in
        try await sidecar.waitUntilReady(within: .seconds(15))
        #expect(names.questions > 0)
        #expect(try await pg.sessions() >= 2)
      }
    }
  }

  @Test(
    "a resolver that hangs: alive, at most four stuck attempts and the reason says so, ready once it answers")
  func hanging() async throws {
    try await withRemotePostgres { path, pg in
      let names = try NameServer(.silent, namespace: path.client)
      defer { names.stop() }
      // An attempt stays in the resolver for a minute, longer than the test waits.
      try path.setClientResolver(NameServer.address, options: "timeout:30 attempts:2")
      let url = "postgresql://postgres:\(TestPostgres.password)@db.example.com:\(pg.port)/postgres"
      let flags = ["--connect-timeout", "300ms"]
      try await expectCheck(
        flags, url: url, namespace: path.client, toFailAt: "name", advising: "The resolver hangs")
      try await withSidecar(flags, url: url, namespace: path.client) { sidecar in
        let live = sidecar.observer("/live")
        try await sidecar.expectNotReady(because: "warming 0/2, name: no answer in time")
        #expect(try await sidecar.verdict()["reasons"][0]["step"].string == "name")
        try await sidecar.expectNotReady(because: "warming 0/2, name: earlier attempts are still stuck")
        let fault = try await sidecar.lastLoginFault()
        #expect(fault["kind"].string == "attempts_stuck")
        #expect(fault["detail"].string?.contains("4 earlier attempts have not returned") == true)
        // It goes on trying, and does not add to them.
        let failed = try await sidecar.status()["counters"]["logins_failed"].int ?? 0
        var mostThreads = 0
        let triedAgain = await eventually(within: .seconds(30)) {
          mostThreads = max(mostThreads, sidecar.loginThreads)
          return try await sidecar.status()["counters"]["logins_failed"].int ?? 0 >= failed + 3
        }
        #expect(triedAgain)
        #expect(mostThreads == 4)

        names.set(.addresses([pg.address]))
        try await sidecar.waitUntilReady(within: .seconds(20))
        #expect(await eventually { sidecar.loginThreads == 0 })
        #expect(await live.stop().allSatisfy { $0.status == 200 })
      }
    }
  }

  @Test(
    "a resolver that hangs does not hold up the end: SIGTERM during the first attempt, and with all of them stuck",
    arguments: [("5s", "warming 0/2"), ("300ms", "earlier attempts are still stuck")])
  func end(connectTimeout: String, words: String) async throws {
    try await withNetworkPath { path in
      let names = try NameServer(.silent, namespace: path.client)
      defer { names.stop() }
      try path.setClientResolver(NameServer.address, options: "timeout:30 attempts:2")
      let flags = ["--connect-timeout", connectTimeout]
      try await withSidecar(flags, url: "postgresql://app@db.example.com/app", namespace: path.client) {
        sidecar in
        try await sidecar.expectNotReady(because: words)
        #expect(await eventually { names.questions > 0 })
        #expect(sidecar.loginThreads > 0)
        await sidecar.expectEndWithinASecond()
      }
    }
  }

  @Test("a resolver that hangs does not keep the other hosts from being tried")
  func otherHostWhileHanging() async throws {
    try await withRemotePostgres { path, pg in
      let names = try NameServer(.silent, namespace: path.client)
      defer { names.stop() }
      try path.setClientResolver(NameServer.address, options: "timeout:30 attempts:2")
      let url =
        "postgresql://postgres:\(TestPostgres.password)@db.example.com:\(pg.port),\(pg.address):\(pg.port)/postgres"
      let flags = ["--connect-timeout", "1s"]
      try await withSidecar(flags, url: url, namespace: path.client) { sidecar in
        // One attempt at the first host is all that it costs.
        try await sidecar.waitUntilReady(within: .seconds(15))
        #expect(names.questions > 0)
        #expect(sidecar.loginThreads == 1)
      }
    }
  }
}
