import Support
import Testing

@Suite("a server without room", .timeLimit(.minutes(10))) struct NoSlotsTests {
  @Test("is said with its numbers, is not knocked at, and is used as soon as there is room")
  func noSlots() async throws {
    try await withPostgres(["max_connections": "12", "superuser_reserved_connections": "3"]) { pg in
      try await pg.sql("CREATE ROLE app LOGIN PASSWORD '\(TestPostgres.password)'")
      let occupants = Occupants()
      try await occupants.take(7, at: pg, user: "app")
      // Nine slots for all but superusers: two are left, and the floor is four.
      try await withSidecar(["--min-connections", "4"], url: pg.tcpURL(user: "app")) { sidecar in
        let words = "not ready: no slots: at least 8 of 9 used, 3 more needed"
        try await sidecar.waitUntil(503, within: .seconds(30)) { $0.body.hasPrefix(words) }
        let verbose = try await sidecar.ready("?verbose")
        #expect(verbose.body.contains("[-]pool failed: no slots"))
        #expect(verbose.body.contains("[+]probe ok"))
        let slots = try await sidecar.status()["slots"]
        #expect(slots["max"].int == 12 && slots["reserved"].int == 3 && slots["used"].int == 8)
        #expect(slots["needed"].int == 3)
        #expect(slots["next_look_in"].double != nil)
        #expect(!sidecar.log("no slots: logins wait").isEmpty)
        // Two logins beside the scout's, at most, have found that out.
        #expect(pg.countInLog(matching: "app=warmgate/.*state=53300") <= 2)
        // What had been opened besides is given back.
        #expect(await eventually { try await pg.sessions() == 1 })

        try await occupants.leave(pg)
        try await sidecar.waitUntilReady(within: .seconds(60))
        #expect(await sidecar.logEntry { $0.message == "the server has slots again" } != nil)
        #expect(try await pg.sessions() == 4)
        #expect(try await sidecar.status()["slots"]["needed"].int == nil)
      }
    }
  }

  @Test("is said of an instance that is ready and cannot grow, without a change of its verdict")
  func belowFloor() async throws {
    try await withPostgres(["max_connections": "12", "superuser_reserved_connections": "3"]) { pg in
      try await pg.sql("CREATE ROLE app LOGIN PASSWORD '\(TestPostgres.password)'")
      try await withSidecar(["--min-connections", "4"], url: pg.tcpURL(user: "app")) { sidecar in
        try await sidecar.waitUntilReady()
        let occupants = Occupants()
        try await occupants.take(5, at: pg, user: "app")
        // One session ends, and somebody else has its slot before it is opened again.
        try await pg.sql("ALTER ROLE app CONNECTION LIMIT 0")
        try await pg.terminateBackends(applicationNameLike: "warmgate/%", limit: 1)
        let answer = try await sidecar.waitUntil(200, within: .seconds(30)) {
          $0["x-envoy-degraded"] == "true"
        }
        #expect(answer.status == 200)
        let reasons = await eventually(within: .seconds(30)) {
          try await sidecar.status()["reasons"].array.contains { $0["name"].string == "no_slots" }
        }
        #expect(reasons, "\(sidecar.process.logText)")
        try await pg.sql("ALTER ROLE app CONNECTION LIMIT -1")
        try await occupants.leave(pg)
        #expect(
          await eventually(within: .seconds(60)) {
            try await sidecar.ready()["x-envoy-degraded"] == nil
          })
      }
    }
  }
}
