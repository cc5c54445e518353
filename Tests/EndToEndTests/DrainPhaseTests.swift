import Foundation
import Support
import Testing

@Suite("a drain of the running sidecar", .timeLimit(.minutes(10)))
struct DrainPhaseTests {
  @Test(
    "readiness is 503 before anything else happens, for at least the delay; then every session ends cleanly")
  func phases() async throws {
    try await withSidecarAndPostgres(["--drain-delay", "3s", "--min-connections", "4"]) { sidecar, pg in
      try await sidecar.waitUntilReady()
      let observer = sidecar.observer(every: .milliseconds(10))
      #expect(await observer.first { $0.status == 200 } != nil)
      async let drain = sidecar.post("/drain")

      // Lame duck: no, and all sessions still there. A count is a witness only if the phase holds on both sides of it.
      let no = try #require(await observer.first { $0.status == 503 })
      #expect(no.line == "not ready: draining")
      var witnessed = 0
      while try await sidecar.status()["drain"]["stage"].string == "lame-duck" {
        let ready = try await sidecar.ready().status
        let sessions = try await pg.sessions()
        guard try await sidecar.status()["drain"]["stage"].string == "lame-duck" else { break }
        #expect(ready == 503)
        #expect(sessions == 4)
        witnessed += 1
      }
      #expect(witnessed > 0)

      let answer = try await drain
      #expect(answer.status == 200)
      #expect(
        answer.body == "drained: 0 leases finished, 0 cut off, 0 waiting refused, 4 connections closed\n")
      let drained = try await sidecar.waitForState("drained")
      let (began, ended) = (
        try #require(sidecar.time(of: "draining")), try #require(sidecar.time(of: "drained"))
      )
      #expect(ended - began >= 3)
      #expect(ended - began < 20)

      #expect(try await pg.sessions() == 0)
      await pg.expectCleanEnds(4)
      let observations = await observer.stop()
      // Not one yes after the first no, and never a refused connection.
      let after = observations.drop { $0.status == 200 }
      #expect(after.allSatisfy { $0.status == 503 })
      #expect(observations.changes == ["200 ready", "503 not ready: draining", "503 not ready: drained"])
      #expect(no.at < drained.at)
    }
  }

  @Test("without a delay, too, the verdict changes before a session is closed")
  func orderWithoutDelay() async throws {
    try await withSidecarAndPostgres(["--drain-delay", "0s"]) { sidecar, pg in
      try await sidecar.waitUntilReady()
      #expect(try await sidecar.post("/drain").status == 200)
      try await sidecar.waitForState("drained")
      let log = sidecar.log
      let draining = try #require(log.firstIndex { $0.state == "draining" })
      let closed = try #require(log.firstIndex { $0.message == "closed" })
      #expect(draining < closed)
      #expect(log.filter { $0.message == "closed" }.allSatisfy { $0["reason"].string == "drain" })
      await pg.expectCleanEnds(2)
    }
  }

  @Test("during lame duck the probe goes on, and a session that is lost is replaced")
  func lameDuckWorks() async throws {
    let flags = [
      "--drain-delay", "15s", "--drain-timeout", "60s", "--probe-interval", "500ms", "--probe-timeout",
      "500ms",
    ]
    try await withSidecarAndPostgres(flags) { sidecar, pg in
      try await sidecar.waitUntilReady()
      #expect(try await sidecar.post("/drain?wait=0").status == 202)
      let before = try await sidecar.status()["counters"]["probes_succeeded"].int ?? 0
      #expect(
        await eventually { try await sidecar.status()["counters"]["probes_succeeded"].int ?? 0 > before })
      let pids = try await sessionPIDs(pg)
      try await pg.terminateBackends(applicationNameLike: "warmgate%", limit: 1)
      #expect(
        await eventually {
          let now = try await sessionPIDs(pg)
          return now.count == 2 && !now.subtracting(pids).isEmpty
        })
      #expect(try await sidecar.status()["drain"]["stage"].string == "lame-duck")
      #expect(try await sidecar.ready().firstLine == "not ready: draining")
    }
  }

  private func sessionPIDs(_ pg: TestPostgres) async throws -> Set<String> {
    let rows = try await pg.sql(
      "select pid from pg_stat_activity where application_name like 'warmgate%' and state is not null")
    return Set(rows.split(separator: "\n").map(String.init))
  }

  @Test(
    "POST /drain blocks until it is done and tells the counts, as text and as JSON; it never ends the process"
  )
  func blocksAndCounts() async throws {
    try await withSidecarAndPostgres(["--drain-delay", "2s", "--min-connections", "3"]) { sidecar, pg in
      try await sidecar.waitUntilReady()
      async let text = sidecar.post("/drain")
      try await sidecar.waitForState("draining")
      async let json = sidecar.admin.request(
        "POST", "/drain", headers: [("Accept", "application/json")], within: .seconds(40))
      let (first, second) = try await (text, json)
      #expect(first.status == 200)
      #expect(first["Content-Type"] == "text/plain; charset=utf-8")
      #expect(
        first.body == "drained: 0 leases finished, 0 cut off, 0 waiting refused, 3 connections closed\n")
      #expect(second.status == 200)
      #expect(second["Content-Type"] == "application/json")
      let counts = try JSONValue(second.body)
      #expect(counts["drained"] == .bool(true))
      for (name, count) in ["in_use": 0, "finished": 0, "cut": 0, "refused": 0, "closed": 3] {
        #expect(counts[name].int == count, "\(name)")
      }
      let took = try #require(counts["took"].double)
      #expect(took >= 2 && took < 20)
      #expect(first.elapsed >= .seconds(2))
      // The second call joined: it did not begin a delay of its own.
      #expect(second.elapsed <= first.elapsed)

      // A third, when all is over, gets the same at once.
      let third = try await sidecar.post("/drain?format=json")
      #expect(try JSONValue(third.body) == counts)
      #expect(sidecar.log.count { $0.state == "draining" } == 1)
      try await expectStaysDrained(sidecar)
      _ = pg
    }
  }

  /// A drain leaves the process running: looked at for two seconds.
  private func expectStaysDrained(_ sidecar: RunningSidecar) async throws {
    let end = ContinuousClock.now + .seconds(2)
    while ContinuousClock.now < end {
      let ready = try await sidecar.ready()
      #expect(ready.status == 503 && ready.firstLine == "not ready: drained")
      #expect(try await sidecar.live().status == 200)
      #expect(try await sidecar.startup().status == 200)
      try await Task.sleep(for: .milliseconds(100))
    }
    #expect(sidecar.process.isRunning)
  }

  @Test("?wait=0 is answered 202 while the drain goes on")
  func noWait() async throws {
    try await withSidecarAndPostgres(["--drain-delay", "60s", "--drain-timeout", "120s"]) { sidecar, pg in
      try await sidecar.waitUntilReady()
      let answer = try await sidecar.post("/drain?wait=0")
      #expect(answer.status == 202)
      #expect(answer.body == "draining\n")
      try await sidecar.waitForState("draining")
      #expect(try await sidecar.ready().status == 503)
      let json = try await sidecar.post("/drain?wait=0&format=json")
      #expect(json.status == 202)
      #expect(try JSONValue(json.body) == .object(["drained": .bool(false), "draining": .bool(true)]))
      #expect(try await sidecar.status()["state"].string == "draining")
      #expect(try await pg.sessions() == 2)
    }
  }

  @Test("?timeout is the deadline, also of the drain that it joins")
  func timeout() async throws {
    try await withSidecarAndPostgres(["--drain-delay", "50s", "--drain-timeout", "120s"]) { sidecar, _ in
      try await sidecar.waitUntilReady()
      async let first = sidecar.post("/drain?format=json", within: .seconds(60))
      try await sidecar.waitForState("draining")
      let second = try await sidecar.post("/drain?timeout=2s&format=json")
      #expect(second.status == 200)
      let took = try #require(JSONValue(second.body)["took"].double)
      #expect(took >= 2 && took < 30)
      #expect(try await first.body == second.body)
    }
  }

  @Test(
    "a query that is not understood drains nothing",
    arguments: ["timeout=soon", "timeout=-1s", "timeout=", "wait=maybe", "timout=20s"])
  func badQuery(query: String) async throws {
    try await withSidecarAndPostgres { sidecar, _ in
      try await sidecar.waitUntilReady()
      #expect(try await sidecar.post("/drain?\(query)").status == 400)
      #expect(try await sidecar.ready().status == 200)
      #expect(await eventually { sidecar.log("POST /drain refused").count == 1 })
      #expect(try await sidecar.status()["counters"]["drains_refused"].int == 1)
    }
  }
}
