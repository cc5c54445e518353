import PoolCore
import Support
import Testing
import WarmPool

/// Whether connections are all connected to one database, and can write to it, as they could at first.
@Suite(.timeLimit(.minutes(10))) struct ClusterTests {
  @Test(
    "an address that leads to another cluster retires the connections to the one before; leases finish first")
  func moved() async throws {
    let other = try await TestPostgres.make()
    try await other.reinitialise()
    try await withPostgres { postgres in
      try await other.start()
      let address = try MovableAddress(to: postgres)
      let running = try RunningPool(postgres) {
        $0.databaseURL = address.url
        $0.minConnections = 3
      }
      async let life: Void = running.pool.run()
      try await running.pool.warmed(within: .seconds(20))
      let first = try await postgres.systemIdentifier()
      let second = try await other.systemIdentifier()
      #expect(first != second)
      #expect(running.pool.snapshot.cluster?.description == first)
      try await running.pool.withConnection { db in
        _ = try await db.query("SELECT 1")
        try address.lead(to: other)
        // Something has to cause a login.
        _ = try await postgres.sql(
          """
          SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE application_name = 'warmgate/test' AND pid <> \(db.backendPID) LIMIT 1
          """)
        #expect(
          await eventually(within: .seconds(20)) {
            let left = try await postgres.sessions(like: "warmgate/test")
            let opened = try await other.sessions(like: "warmgate/test")
            return left == 1 && opened == 3
          })
        let asked = try await db.query("SELECT system_identifier FROM pg_control_system()")[0, 0]
        #expect(asked == first)
      }
      #expect(await eventually { try await postgres.sessions(like: "warmgate/test") == 0 })
      #expect(try await ask(running.pool, "SELECT system_identifier FROM pg_control_system()") == second)
      #expect(running.pool.snapshot.cluster?.description == second)
      #expect(running.retirements.map(\.reason) == [.otherCluster])
      #expect(running.retirements.first?.fault?.message.contains(second) == true)
      #expect(running.pool.snapshot.retirement == running.retirements.first)
      #expect(!running.phases.contains(.unready))
      #expect(running.pool.snapshot.counters.impossibleEvents == 0)
      _ = try? await running.pool.terminate(within: .seconds(1))
      await life
    }
    await blocking { other.close() }
  }

  @Test(
    "an ordinary role may ask which cluster it is; one that may not is said so once, and warms all the same")
  func ordinaryRole() async throws {
    try await withPostgres { postgres in
      _ = try await postgres.sql("CREATE ROLE app LOGIN")
      for isAllowed in [true, false] {
        if !isAllowed {
          _ = try await postgres.sql("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
        }
        let running = try RunningPool(postgres) {
          $0.databaseURL = postgres.unixURL(user: "app")
          $0.minConnections = 4
        }
        async let life: Void = running.pool.run()
        try await running.pool.warmed(within: .seconds(20))
        let snapshot = running.pool.snapshot
        if isAllowed {
          #expect(snapshot.cluster?.description == (try await postgres.systemIdentifier()))
          #expect(snapshot.clusterHidden == nil && running.clustersHidden.isEmpty)
        } else {
          #expect(snapshot.cluster == nil)
          #expect(snapshot.clusterHidden?.sqlState?.code == "42501")
          #expect(running.clustersHidden.count == 1)
          // An error at every login would fill the server's log.
          #expect(postgres.countInLog(matching: "permission denied for function pg_control_system") == 1)
        }
        _ = try? await running.pool.terminate(within: .seconds(1))
        await life
      }
    }
  }

  @Test("a statement refused by a server that only reads now retires the connections, once")
  func readOnly() async throws {
    try await withPool({ $0.minConnections = 3 }) { running, postgres in
      try await running.pool.warmed(within: .seconds(20))
      func write() async -> PoolError? {
        await #expect(throws: PoolError.self) {
          try await running.pool.withConnection { db in _ = try await db.query("CREATE TABLE t ()") }
        }
      }
      try await postgres.reload(["default_transaction_read_only": "on"])
      #expect(await eventually { try await ask(running.pool, "SHOW transaction_read_only") == "on" })
      #expect(await write()?.fault?.sqlState == .readOnlyTransaction)
      #expect(
        await eventually { running.pool.snapshot.generation == 2 && !running.retirements.isEmpty })
      #expect(running.retirements.map { $0.fault?.sqlState } == [.readOnlyTransaction])
      try await running.pool.warmed(within: .seconds(20))
      // Those that were opened since have never been able to write: it is no news.
      for _ in 0..<5 { #expect(await write()?.fault?.sqlState == .readOnlyTransaction) }
      #expect(await eventually { running.pool.snapshot.pool.leased == 0 })
      #expect(running.pool.snapshot.generation == 2)
    }
  }

  @Test("a lease that asked for a read-only transaction, or session, retires nobody when it writes in it")
  func ownReadOnly() async throws {
    try await withPool { running, _ in
      try await running.pool.warmed(within: .seconds(20))
      let inTransaction = await #expect(throws: PoolError.self) {
        try await running.pool.withTransaction(TransactionOptions(readOnly: true)) { db in
          _ = try await db.query("CREATE TABLE t ()")
        }
      }
      #expect(inTransaction?.fault?.sqlState == .readOnlyTransaction)
      let inSession = await #expect(throws: PoolError.self) {
        try await running.pool.withConnection { db in
          _ = try await db.query("SET default_transaction_read_only = on")
          _ = try await db.query("CREATE TABLE t ()")
        }
      }
      #expect(inSession?.fault?.sqlState == .readOnlyTransaction)
      #expect(await eventually { running.pool.snapshot.pool.leased == 0 })
      #expect(running.pool.snapshot.generation == 1)
      #expect(running.pool.snapshot.counters.closes.isEmpty)
    }
  }
}
