import Support
import Testing

@Suite(
  "a drain and those who ask for readiness from elsewhere", .needsNetworkNamespaces, .timeLimit(.minutes(10)))
struct DrainProbersTests {
  /// A sidecar in a network of its own, which is asked from the other end of a cable.
  private func withAskedSidecar(
    _ flags: [String], _ body: (RunningSidecar, HTTPProbe) async throws -> Void
  ) async throws {
    try await withNetworkPath { path in
      try await withPostgres { pg in
        let port = freePort()
        // In its own network it can listen everywhere: there is nobody but its prober.
        let all = ["--listen", "0.0.0.0:\(port)", "--drain-delay", "100ms"] + flags
        try await withSidecar(all, url: pg.unixURL, namespace: path.client) { sidecar in
          let near = HTTPProbe(.tcp("127.0.0.1", port), namespace: path.client)
          #expect(await eventually { try await near.request("GET", "/ready").status == 200 })
          try await body(sidecar, HTTPProbe(.tcp(NetworkPath.clientAddress, port), namespace: path.server))
        }
      }
    }
  }

  @Test("it ends when the load balancer has been told three times, and says so")
  func told() async throws {
    try await withAskedSidecar([]) { sidecar, far in
      let balancer = Observer(far, "/ready", every: .milliseconds(300))
      #expect(await eventually { try await sidecar.status()["probers"][0]["state"].string == "active" })
      let answer = try await sidecar.post("/drain")
      let seen = await balancer.stop()
      #expect(answer.body.contains("load balancers that noticed: 1"), "\(answer.body)")
      #expect(seen.count { $0.status == 503 } >= 3)
      let prober = try await sidecar.status()["probers"][0]
      #expect(prober["told"].int ?? 0 >= 3 && prober["dialect"].string == "http")
    }
  }

  @Test("one that asks too seldom is named, and the drain ends in time all the same")
  func notTold() async throws {
    try await withAskedSidecar(["--drain-timeout", "7s"]) { sidecar, far in
      for _ in 0..<3 {
        #expect(try await far.request("GET", "/ready").status == 200)
        // What is tried is the pace of a load balancer.
        try await Task.sleep(for: .seconds(2))
      }
      let answer = try await sidecar.post("/drain")
      #expect(answer.status == 200)
      #expect(answer.body.contains("not told in time, and may still send traffic: "), "\(answer.body)")
      #expect(answer.body.contains("(http, every 2."), "\(answer.body)")
      #expect(answer.body.contains("told 0 of 3"), "\(answer.body)")
    }
  }
}
