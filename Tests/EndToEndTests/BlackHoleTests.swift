import Support
import Testing

@Suite("an address from which nothing comes back", .needsNetworkNamespaces)
struct BlackHoleTests {
  @Test("a black-holed address: alive, not ready for TCP, and gone within a second")
  func alone() async throws {
    try await withNetworkPath { path in
      let flags = ["--connect-timeout", "500ms"]
      let url = "postgresql://app@\(NetworkPath.blackHole)/app"
      try await expectCheck(
        flags, url: url, namespace: path.client, toFailAt: "tcp", advising: "Packets vanish on the way")
      try await withSidecar(flags, url: url, namespace: path.client) { sidecar in
        let live = sidecar.observer("/live")
        try await sidecar.expectNotReady(because: "warming 0/2, tcp: no answer in time")
        #expect(try await sidecar.verdict()["reasons"][0]["step"].string == "tcp")
        let fault = try await sidecar.lastLoginFault()
        #expect(fault["kind"].string == "timed_out")
        #expect(fault["detail"].string?.contains("\(NetworkPath.blackHole):5432") == true)
        // Nothing lingers: an attempt that waits for packets ends itself at its deadline.
        #expect(await eventually { sidecar.loginThreads <= 1 })
        #expect(await live.stop().allSatisfy { $0.status == 200 })
        await sidecar.expectEndWithinASecond()
      }
    }
  }

  @Test("SIGTERM during the first attempt at a black-holed address ends it within a second")
  func firstAttempt() async throws {
    try await withNetworkPath { path in
      let url = "postgresql://app@\(NetworkPath.blackHole)/app"
      try await withSidecar(["--connect-timeout", "30s"], url: url, namespace: path.client) { sidecar in
        try await sidecar.expectNotReady(because: "warming 0/2")
        #expect(await eventually { sidecar.loginThreads == 1 })
        await sidecar.expectEndWithinASecond()
      }
    }
  }

  @Test("a black-holed host does not keep the other hosts from being tried")
  func otherHost() async throws {
    try await withRemotePostgres { path, pg in
      let hosts = "\(NetworkPath.blackHole):\(pg.port),\(pg.address):\(pg.port)"
      let url = "postgresql://postgres:\(TestPostgres.password)@\(hosts)/postgres"
      try await withSidecar(["--connect-timeout", "1s"], url: url, namespace: path.client) { sidecar in
        try await sidecar.waitUntilReady(within: .seconds(15))
        // It has tried the first host, and waited for it.
        let ready = try #require(await sidecar.logEntry { $0.message == "ready" })
        #expect(ready.at - sidecar.listening.at > .seconds(1))
        #expect(try await pg.sessions() >= 2)
      }
    }
  }

  @Test("a name with a black-holed address before a good one is reached at the good one")
  func otherAddress() async throws {
    try await withRemotePostgres { path, pg in
      let names = try NameServer(.addresses([NetworkPath.blackHole, pg.address]), namespace: path.client)
      defer { names.stop() }
      try path.setClientResolver(NameServer.address)
      let url = "postgresql://postgres:\(TestPostgres.password)@db.example.com:\(pg.port)/postgres"
      try await withSidecar(["--connect-timeout", "2s"], url: url, namespace: path.client) { sidecar in
        try await sidecar.waitUntilReady(within: .seconds(15))
        #expect(try await pg.sessions() >= 2)
      }
    }
  }

  @Test("packets dropped on the way to a server: not ready for TCP, ready once they pass")
  func heals() async throws {
    try await withRemotePostgres { path, pg in
      try await path.drop()
      try await withSidecar(["--connect-timeout", "500ms"], url: pg.tcpURL(), namespace: path.client) {
        sidecar in
        try await sidecar.expectNotReady(because: "warming 0/2, tcp: no answer in time")
        try await path.heal()
        try await sidecar.waitUntilReady(within: .seconds(20))
      }
    }
  }
}
