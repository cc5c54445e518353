import PoolCore
import Support
import Testing
import WarmPool

extension ChaosTests {
  /// The server works, and says no.
  @Suite(.serialized) struct Refusals {
    @Test("a full disk fails what writes, and costs no connection", .needsMount)
    func diskFull() async throws {
      let disk = try SmallDisk(megabytes: 24)
      try await withChaos(
        "disk full",
        prepare: { postgres in
          try await postgres.sql("CREATE TABLESPACE small LOCATION '\(disk.path)'")
          try await Ledger.create(on: postgres, journalIn: "small")
        }
      ) { chaos in
        let before = chaos.pool.snapshot.counters
        try await disk.fill()
        #expect(await eventually { chaos.load.tally.failed > 100 })
        #expect(await chaos.load.succeeds(100), "what only reads goes on")
        try disk.free()
        await chaos.recovers()
        let others = chaos.load.tally.failures.keys.filter { !$0.hasPrefix("53100") }
        #expect(others.isEmpty, "\(chaos.load.tally.failures)")
        #expect(
          chaos.pool.snapshot.counters.closes == before.closes, "a refused statement costs no connection")
      }
      disk.remove()
    }

    @Test("statement_timeout ends statements, and costs no connection")
    func statementTimeout() async throws {
      try await withChaos(
        "statement_timeout",
        configure: { configuration, postgres in
          configuration.databaseURL = postgres.unixURL + "?options=-c%20statement_timeout%3D300"
          configuration.pool.probeInterval = .seconds(5)
        }
      ) { chaos in
        let before = chaos.pool.snapshot.counters
        // Everything that reads or writes accounts waits, and is ended.
        try await chaos.server.sql("BEGIN; LOCK TABLE accounts; SELECT pg_sleep(2); COMMIT")
        await chaos.recovers()
        let ended = chaos.load.tally.failures.filter { $0.key.hasPrefix("57014") }.values.reduce(0, +)
        #expect(ended > 10, "\(chaos.load.tally.failures)")
        #expect(
          chaos.pool.snapshot.counters.closes == before.closes, "a refused statement costs no connection")
      }
    }

    @Test("a password that is rotated leaves the pool ready and degraded, until it reads the new one")
    func passwordRotation() async throws {
      let directory = try TemporaryDirectory()
      let file = try directory.write("password", "first")
      try await withChaos(
        "password rotation",
        prepare: { postgres in
          try await Ledger.create(on: postgres)
          try await postgres.sql("CREATE ROLE app LOGIN PASSWORD 'first'")
        },
        configure: { configuration, postgres in
          configuration.databaseURL = postgres.tcpURL(user: "app", password: nil)
          configuration.passwordFile = file
          // So that the one that is lost has to be replaced.
          configuration.minConnections = 10
        }
      ) { chaos in
        #expect(await eventually { chaos.pool.snapshot.pool.open == 10 })
        try await chaos.server.sql("ALTER ROLE app PASSWORD 'second'")
        let transitions = chaos.pool.snapshot.counters.readyTransitions
        try await chaos.server.terminateBackends(applicationNameLike: Chaos.applicationName, limit: 1)
        #expect(try await chaos.becomesDegraded(by: .invalidPassword), "\(chaos.pool.snapshot.degraded)")
        #expect(await chaos.load.succeeds(500), "the sessions there are go on")
        try directory.write("password", "second")
        let grew = await eventually { chaos.pool.snapshot.pool.open == 10 }
        #expect(grew, "the new password is not used: \(chaos.pool.snapshot.login)")
        await chaos.recovers()
        #expect(chaos.pool.snapshot.counters.readyTransitions == transitions, "it was ready all the time")
      }
    }

    @Test("tables that are changed under the statements that use them fail no call")
    func schemaChanges() async throws {
      try await withChaos("DDL under prepared statements") { chaos in
        for round in 0..<10 {
          let type = round.isMultiple(of: 2) ? "bigint" : "int"
          try await chaos.server.sql(
            """
            ALTER TABLE journal ADD COLUMN note\(round) text DEFAULT 'none';
            ALTER TABLE accounts ALTER COLUMN balance TYPE \(type);
            CREATE INDEX ON journal (id);
            """)
          #expect(await chaos.load.succeeds(100))
        }
        await chaos.recovers()
        #expect(chaos.load.tally.failures == [:])
      }
    }

    @Test("a server that others have filled leaves the pool what it has, and lets it grow later")
    func serverFull() async throws {
      let others = Place<[PsqlSession]>()
      try await withChaos(
        "server full", settings: ["max_connections": "16"],
        prepare: { postgres in
          try await Ledger.create(on: postgres)
          try await postgres.sql("CREATE ROLE app LOGIN")
          // 16, less three for superusers, less the four of the floor.
          var sessions: [PsqlSession] = []
          for _ in 0..<9 { sessions.append(try await postgres.session(user: "app")) }
          others.value = sessions
        },
        configure: { configuration, postgres in configuration.databaseURL = postgres.unixURL(user: "app") }
      ) { chaos in
        #expect(await eventually { chaos.pool.snapshot.login.lastFault?.sqlState == .tooManyConnections })
        #expect(await chaos.load.succeeds(300), "it works with what it has")
        #expect(chaos.pool.snapshot.pool.open == 4)
        for session in others.value ?? [] { await session.end() }
        await chaos.recovers()
        #expect(await eventually(within: .seconds(60)) { chaos.pool.snapshot.pool.open == 10 })
        #expect(chaos.load.tally.failures == [:])
      }
    }
  }
}
