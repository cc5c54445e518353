import PoolCore
import Support
import Testing
import WarmPool

@Suite("the server's room", .timeLimit(.minutes(10))) struct RoomTests {
  @Test("is read while warming: what others use, and the limits of role and database")
  func reading() async throws {
    try await withPostgres(["max_connections": "20", "superuser_reserved_connections": "2"]) { postgres in
      try await postgres.sql(
        "CREATE ROLE app LOGIN CONNECTION LIMIT 7; ALTER DATABASE postgres CONNECTION LIMIT 9")
      let running = try RunningPool(postgres) {
        $0.databaseURL = postgres.unixURL(user: "app")
        $0.minConnections = 3
        $0.maxConnections = 5
      }
      try await running.whileItRuns { pool in
        try await pool.warmed(within: .seconds(20))
        #expect(await eventually { pool.snapshot.room.reading != nil })
        let room = try #require(pool.snapshot.room.reading)
        #expect((room.maxConnections, room.reserved) == (20, 2))
        // Those of the first logins may be there already, or not yet.
        #expect((0...2).contains(room.used))
        #expect(room.role?.limit == 7 && room.database?.limit == 9)
        #expect(pool.snapshot.room.needed == nil)
        #expect(pool.snapshot.roomHidden == nil)
        // A superuser has every slot, and no limit.
        let mighty = try RunningPool(postgres)
        try await mighty.whileItRuns { pool in
          try await pool.warmed(within: .seconds(20))
          #expect(await eventually { pool.snapshot.room.reading != nil })
          let room = try #require(pool.snapshot.room.reading)
          #expect((room.maxConnections, room.reserved) == (20, 0))
          #expect(room.role == nil && room.database == nil)
        }
      }
    }
  }

  @Test("is waited for with one connection, and said, when a role's limit leaves too little")
  func roleLimit() async throws {
    try await withPostgres { postgres in
      try await postgres.sql("CREATE ROLE app LOGIN CONNECTION LIMIT 3")
      let running = try RunningPool(postgres) {
        $0.databaseURL = postgres.unixURL(user: "app")
        $0.minConnections = 4
        $0.maxConnections = 5
      }
      try await running.whileItRuns { pool in
        let words = "no slots: at least 1 of 3 used by this role, 3 more needed"
        #expect(await eventually(within: .seconds(30)) { running.verdict.reasons.first?.text == words })
        #expect(try await postgres.sessions(like: "warmgate/test") == 1)
        // With the limit gone, the next look finds room.
        try await postgres.sql("ALTER ROLE app CONNECTION LIMIT -1")
        try await pool.warmed(within: .seconds(60))
        // One went out beside the first reading; one more perhaps between a reading and what it did not see.
        #expect(postgres.countInLog(matching: "state=53300 FATAL") <= 2)
      }
    }
  }

  @Test(
    "is shared by a fleet that cannot all have its floor, and the whole floor is had again when others have gone"
  )
  func shared() async throws {
    try await withPostgres(["max_connections": "12", "superuser_reserved_connections": "3"]) { postgres in
      try await postgres.sql("CREATE ROLE app LOGIN")
      func member(_ name: String) throws -> RunningPool {
        try RunningPool(postgres) {
          $0.databaseURL = postgres.unixURL(user: "app")
          $0.applicationName = "warmgate/\(name)"
          $0.pool.elasticMin = true
          $0.minConnections = 5
          $0.maxConnections = 6
        }
      }
      let (first, second) = (try member("one"), try member("two"))
      try await first.whileItRuns { pool in
        try await pool.warmed(within: .seconds(20))
        #expect(await eventually { pool.snapshot.pool.open == 5 })
        try await second.whileItRuns { pool in
          // Nine slots, of which one is left for whoever comes next.
          try await pool.warmed(within: .seconds(60))
          let sharing = "4/5 connections, a share of the room for 2 instances"
          for member in [first, second] {
            #expect(
              await eventually(within: .seconds(60)) { member.verdict.reasons.map(\.text) == [sharing] },
              "\(member.verdict)")
            #expect(member.verdict.isReady)
            #expect(await eventually { member.pool.snapshot.pool.open == 4 })
          }
          #expect(try await postgres.sessions(like: "warmgate/%") == 8)
        }
        #expect(await eventually(within: .seconds(60)) { first.verdict.reasons.isEmpty })
        #expect(pool.snapshot.pool.open == 5)
      }
    }
  }

  @Test("is not guessed at behind a pooler, and that is said")
  func pooler() async throws {
    try await withPostgres { postgres in
      let pooler = try await PgBouncer.started(before: postgres, sessions: 2)
      let running = try RunningPool(postgres) {
        $0.databaseURL = pooler.url
        $0.minConnections = 4
        $0.maxConnections = 5
      }
      try await running.whileItRuns { pool in
        try await pool.warmed(within: .seconds(20))
        #expect(await eventually { pool.snapshot.roomHidden?.contains("pooler") == true })
        #expect(pool.snapshot.room.reading == nil)
      }
      pooler.stop()
    }
  }

  @Test("is done without where an administrator has hidden it")
  func hidden() async throws {
    try await withPostgres { postgres in
      try await postgres.sql(
        """
        REVOKE EXECUTE ON FUNCTION pg_catalog.pg_stat_get_activity(integer) FROM PUBLIC;
        CREATE ROLE app LOGIN
        """)
      let running = try RunningPool(postgres) {
        $0.databaseURL = postgres.unixURL(user: "app")
        $0.minConnections = 4
        $0.maxConnections = 5
      }
      try await running.whileItRuns { pool in
        try await pool.warmed(within: .seconds(20))
        #expect(await eventually { pool.snapshot.roomHidden?.contains("42501") == true })
        #expect(running.verdict.isReady)
      }
    }
  }
}
