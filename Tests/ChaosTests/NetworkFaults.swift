import Support
import Testing
import WarmPool

extension ChaosTests {
  /// The way between pool and server is bad.
  @Suite(.serialized) struct NetworkFaults {
    @Test("sockets that the kernel kills cost only what was under way on them", .needsSocketKilling)
    func killedSockets() async throws {
      try await withChaos("killed sockets", configure: { $0.databaseURL = $1.tcpURL() }) { chaos in
        let filter = "dport = :\(chaos.server.port)"
        for _ in 0..<15 {
          let listed = try await runChecked(["ss", "-Htn", "state", "established", filter])
          let ports = listed.split(separator: "\n").compactMap { line in
            line.split(separator: " ").dropFirst(2).first?.split(separator: ":").last
          }
          if !ports.isEmpty {
            let port = ports[chaos.choose(0..<ports.count)]
            try await runChecked(["ss", "-KHtn", "state", "established", "sport = :\(port)", "and", filter])
          }
          try await Task.sleep(for: .milliseconds(150))
        }
        // All at once.
        try await runChecked(["ss", "-KHtn", "state", "established", filter])
        await chaos.recovers()
      }
    }

    @Test(
      "a partition that swallows every packet ends no call late and loses nothing", .needsNetworkNamespaces)
    func partition() async throws {
      let path = try await NetworkPath()
      try await withChaos(
        "partition", namespace: path.server, address: NetworkPath.serverAddress,
        configure: { $0.databaseURL = $1.tcpURL() },
        makePool: { configuration in try path.inClient { try WarmPool(configuration, seed: chaosSeed) } }
      ) { chaos in
        try await path.drop()
        try await Task.sleep(for: .seconds(5))
        try await path.heal()
        await chaos.recovers()
      }
    }

    @Test("answers that come 200 ms late, more or less, fail no call")
    func delay() async throws {
      try await withProxy("200 ms of delay and jitter") { chaos, proxy in
        proxy.delay(.milliseconds(150), jitter: .milliseconds(100))
        #expect(await chaos.load.succeeds(200))
        proxy.heal()
        await chaos.recovers()
        #expect(chaos.load.tally.failures == [:])
      }
    }

    @Test("a connection that breaks with a reply costs that call alone", arguments: FaultProxy.Fault.allCases)
    func brokenReplies(_ fault: FaultProxy.Fault) async throws {
      try await withProxy(fault.rawValue) { chaos, proxy in
        proxy.strike([fault], probability: 0.02)
        #expect(await eventually { proxy.struck[fault, default: 0] >= 30 }, "\(proxy.struck)")
        proxy.heal()
        await chaos.recovers()
      }
    }

    @Test("all of it at once, with delay and jitter")
    func everything() async throws {
      try await withProxy("proxy faults mixed, with jitter") { chaos, proxy in
        proxy.delay(.milliseconds(5), jitter: .milliseconds(20))
        proxy.strike(FaultProxy.Fault.allCases, probability: 0.02)
        #expect(await eventually { proxy.struck.values.reduce(0, +) >= 60 }, "\(proxy.struck)")
        proxy.heal()
        await chaos.recovers()
      }
    }
  }
}

/// Chaos with a proxy between the pool and the server.
private func withProxy(
  _ name: String, _ body: (Chaos, FaultProxy) async throws -> Void
) async throws {
  let place = Place<FaultProxy>()
  defer { place.value?.close() }
  try await withChaos(
    name,
    configure: { configuration, postgres in
      let proxy = try FaultProxy(to: postgres.port, seed: chaosSeed)
      place.value = proxy
      configuration.databaseURL =
        "postgresql://postgres:\(TestPostgres.password)@127.0.0.1:\(proxy.port)/postgres"
    }
  ) { chaos in try await body(chaos, #require(place.value)) }
}
