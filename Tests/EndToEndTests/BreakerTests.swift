import Support
import Testing

@Suite("the breaker, and connections that are given up together")
struct BreakerTests {
  @Test(
    "while no connection is left, /status and the log say with the cause that callers are refused, and when not"
  )
  func outage() async throws {
    try await withSidecarAndPostgres { sidecar, pg in
      try await sidecar.waitUntilReady()
      let before = try await sidecar.status()["breaker"]
      #expect(before["state"].string == "closed" && before["fault"] == .null)
      await pg.kill()
      #expect(
        await eventually(within: .seconds(60)) {
          let breaker = try await sidecar.status()["breaker"]
          return breaker["state"].string == "open" && breaker["fault"]["kind"].string == "refused"
        })
      // Each attempt is half-open, and no news.
      #expect(
        await eventually(within: .seconds(60), every: .milliseconds(5)) {
          sidecar.log.contains { $0["breaker"].string == "half_open" && $0.level == "debug" }
        })
      try await pg.start()
      try await sidecar.waitUntilReady(within: .seconds(60))
      #expect(await eventually { try await sidecar.status()["breaker"]["state"].string == "closed" })
      #expect(try await sidecar.status()["breaker"]["fault"] == .null)
      let opened = sidecar.log("callers are refused at once").filter { $0.level == "warn" }
      #expect(opened.count == 1)
      #expect(opened.first?["fault"].string?.contains("connection refused") == true)
      let closed = sidecar.log("callers are served again")
      #expect(closed.count == 1 && closed.first?.level == "info")
      #expect(try await sidecar.status()["counters"]["impossible_events"].int == 0)
    }
  }

  @Test(
    "an address that leads to another cluster: all connections move there, ready throughout, and it is said why"
  )
  func otherCluster() async throws {
    let other = try await TestPostgres.make()
    try await other.reinitialise()
    try await withPostgres { pg in
      try await other.start()
      let address = try MovableAddress(to: pg)
      try await withSidecar(url: address.url) { sidecar in
        try await sidecar.waitUntilReady()
        let (first, second) = (try await pg.systemIdentifier(), try await other.systemIdentifier())
        let cluster = try await sidecar.status()["cluster"]
        #expect(cluster["system_identifier"].string == first && cluster["hidden"] == .null)
        #expect(try await sidecar.status()["retirement"] == .null)
        let observer = sidecar.observer()
        #expect(await observer.first { _ in true }?.status == 200)
        try address.lead(to: other)
        #expect(try await pg.terminateBackends(applicationNameLike: "warmgate%", limit: 1) == 1)
        let given = await sidecar.logEntry(within: .seconds(30)) {
          $0.message == "all connections are given up"
        }
        #expect(given?.level == "warn" && given?["reason"].string == "other_cluster")
        #expect(
          given?["fault"].string?.contains("system identifier \(second), before it was \(first)") == true)
        #expect(
          await eventually {
            let (left, opened) = (try await pg.sessions(), try await other.sessions())
            return left == 0 && opened == 2
          })
        let status = try await sidecar.status()
        #expect(status["cluster"]["system_identifier"].string == second)
        #expect(status["retirement"]["reason"].string == "other_cluster")
        #expect(status["retirement"]["fault"]["kind"].string == "other_cluster")
        #expect(status["generation"].int == 2 && status["retirement"]["generation"].int == 2)
        #expect(await observer.stop().statuses == [200])
      }
    }
    await blocking { other.close() }
  }
}
