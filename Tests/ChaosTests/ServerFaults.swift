import Foundation
import Support
import Testing

extension ChaosTests {
  /// The server, or its processes, end.
  @Suite(.serialized) struct ServerFaults {
    @Test("after a fast restart nothing is lost or done twice, and the pool is back")
    func fastRestart() async throws {
      try await withChaos("fast restart") { chaos in
        for _ in 0..<2 {
          try await chaos.server.restart(.fast)
          await chaos.recovers()
        }
      }
    }

    @Test("after an immediate restart nothing is lost or done twice, and the pool is back")
    func immediateRestart() async throws {
      try await withChaos("immediate restart") { chaos in
        for _ in 0..<2 {
          try await chaos.server.restart(.immediate)
          await chaos.recovers()
        }
      }
    }

    @Test("after the server's processes were killed nothing is lost or done twice, and the pool is back")
    func crash() async throws {
      try await withChaos("crash of the server") { chaos in
        await chaos.server.kill()
        try await chaos.server.start()
        await chaos.recovers()
      }
    }

    @Test("a failover to a promoted replica loses nothing that was reported, and the pool follows")
    func failover() async throws {
      // Set once it exists, which is before the pool asks.
      let standby = Place<TestPostgres>()
      defer { standby.value?.close() }
      try await withChaos(
        "failover",
        prepare: { primary in
          try await Ledger.create(on: primary)
          let replica = try await primary.makeStandby()
          standby.value = replica
          // From here on, what was reported as committed is at the standby too.
          try await primary.reload(["synchronous_standby_names": "*"])
        },
        configure: { configuration, primary in
          let replica = try #require(standby.value)
          configuration.databaseURL =
            "postgresql://postgres:\(TestPostgres.password)@127.0.0.1:\(primary.port),127.0.0.1:\(replica.port)"
            + "/postgres?target_session_attrs=read-write"
        }
      ) { chaos in
        let replica = try #require(standby.value)
        await chaos.server.kill()
        try await replica.promote()
        chaos.server = replica
        await chaos.recovers()
      }
    }

    @Test("sessions that are terminated at random, ten a second, cost only what was under way on them")
    func terminations() async throws {
      try await withChaos("random pg_terminate_backend") { chaos in
        let session = try await chaos.server.session()
        for _ in 0..<30 {
          if let pid = try await chaos.someBackend(of: session) {
            _ = try await session.ask("SELECT pg_terminate_backend(\(pid))")
          }
          try await Task.sleep(for: .milliseconds(100))
        }
        await session.end()
        await chaos.recovers()
      }
    }

    @Test("server processes that stand still hold up only the calls that are on them, until their deadline")
    func stoppedBackends() async throws {
      try await withChaos("SIGSTOP of single backends") { chaos in
        let session = try await chaos.server.session()
        var stopped: Set<pid_t> = []
        while stopped.count < 3, let pid = try await chaos.someBackend(of: session) {
          if stopped.insert(pid).inserted { kill(pid, SIGSTOP) }
        }
        let before = chaos.load.tally.succeeded
        try await Task.sleep(for: Load.deadline + .seconds(1))
        #expect(chaos.load.tally.succeeded > before, "one stopped process stops everything")
        for pid in stopped { kill(pid, SIGCONT) }
        await session.end()
        await chaos.recovers()
      }
    }
  }
}
