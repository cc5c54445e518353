import Foundation
import Support
import Testing

@Suite("the order of a start")
struct LifecycleOrderTests {
  /// Each login takes a second at the server, so that every step is there long enough to be seen.
  static func slowLogins(_ url: String) -> String { url + "?options=-c%20post_auth_delay%3D1" }

  @Test(
    "seen from before the start: 503 warming k/n, never refused once it listens, then 200 with the floor open"
  )
  func order() async throws {
    try await withPostgres { pg in
      let session = try await pg.session()
      let ports = (health: freePort(), admin: freePort())
      let observer = Observer(HTTPProbe(port: ports.health), every: .milliseconds(5))
      let sidecar = try await RunningSidecar.started(
        ["--min-connections", "5"], url: Self.slowLogins(pg.tcpURL()), ports: ports)
      try await sidecar.waitUntilReady()
      // A login takes a second, so nothing that was open was opened since the answer.
      let backends = try await session.warmgateBackends()
      #expect(backends.count >= 5)
      let seen = await observer.stop()
      await sidecar.close()

      #expect(seen.first?.outcome == .failed(.refused), "the observer came too late")
      let sinceListening = seen.begun(from: sidecar.listening.at)
      #expect(sinceListening.filter { $0.status == nil }.isEmpty)
      #expect(sinceListening.statuses == [503, 200])
      let lines = sinceListening.filter { $0.status == 503 }.compactMap(\.line)
      // Nothing has been tried in the first millisecond.
      let opened = lines.filter { $0 != "not ready: starting" }.map { line in
        (0..<5).first { "not ready: warming \($0)/5" == line }
      }
      #expect(!opened.contains(nil), "\(sinceListening.changes)")
      #expect(opened.compactMap(\.self) == opened.compactMap(\.self).sorted(), "the count went back")
      #expect(opened.first == 0)
      #expect(Set(opened).count > 2, "\(sinceListening.changes)")
      #expect(sinceListening.last?.line == "ready")
    }
  }

  @Test("with --min-connections 5, four are not enough")
  func floor() async throws {
    try await withPostgres { pg in
      // Where it could read that there is no room for the fifth, it would keep one.
      try await pg.sql(
        """
        create role app login password 'secret' connection limit 4;
        revoke execute on function pg_catalog.pg_stat_get_activity(integer) from public
        """)
      let session = try await pg.session()
      try await withSidecar(["--min-connections", "5"], url: pg.tcpURL(user: "app")) { sidecar in
        let observer = sidecar.observer()
        try await sidecar.waitUntil(503) {
          $0.body.hasPrefix("not ready: warming 4/5, 53300 ") && $0["x-envoy-degraded"] == nil
        }
        #expect(try await session.warmgateBackends().count == 4)
        // A login that was under way when it was full has failed by then, and so has one after it.
        #expect(
          await eventually(within: .seconds(30)) {
            try await sidecar.status()["login"]["failures_in_row"].int ?? 0 > 1
          })
        #expect(try await sidecar.startup().status == 503)
        #expect(try await sidecar.live().status == 200)
        let lifted = ContinuousClock.now
        try await pg.sql("alter role app connection limit -1")
        try await sidecar.waitUntilReady(within: .seconds(60))
        #expect(try await session.warmgateBackends().count >= 5)
        #expect(try await sidecar.startup().status == 200)
        let seen = await observer.stop()
        #expect(seen.statuses == [503, 200])
        #expect(seen.answered(before: lifted).statuses == [503])
      }
    }
  }

  @Test("a probe query that fails keeps it 503 with the reason; the server's words stay with operators")
  func failingProbeQuery() async throws {
    try await withPostgres { pg in
      let flags = ["--probe-query", "select v from healthy", "--probe-interval", "1s"]
      try await withSidecar(flags, url: pg.tcpURL()) { sidecar in
        let observer = sidecar.observer()
        let answer = try await sidecar.waitUntil(503) { $0.body.contains("42P01") }
        #expect(answer.firstLine.hasPrefix("not ready: warming 1/2, 42P01 "))
        try await Self.expectOperatorsOnly("healthy", sidecar)
        #expect(sidecar.log("probe failed").first?["sqlstate"] == .string("42P01"))
        #expect(
          await eventually { try await sidecar.status()["counters"]["probes_failed"].int ?? 0 >= 3 })
        #expect(try await sidecar.startup().status == 503)
        #expect(try await sidecar.live().status == 200)
        let made = ContinuousClock.now
        try await pg.sql("create table healthy as select 1 as v")
        try await sidecar.waitUntilReady()
        #expect(try await sidecar.startup().status == 200)
        let seen = await observer.stop()
        #expect(seen.statuses == [503, 200])
        #expect(seen.answered(before: made).statuses == [503])
      }
    }
  }

  @Test(
    "an answer other than --probe-expect keeps it 503 with the reason; /startup latches once it was ready")
  func unexpectedAnswer() async throws {
    try await withPostgres { pg in
      try await pg.sql("create table gate as select 'closed-for-repairs' as v")
      let flags = ["--probe-query", "select v from gate", "--probe-expect", "open", "--probe-interval", "1s"]
      try await withSidecar(flags, url: pg.tcpURL()) { sidecar in
        let ready = sidecar.observer()
        let startup = sidecar.observer("/startup")
        let answer = try await sidecar.waitUntil(503) { $0.body.contains("unexpected answer") }
        #expect(answer.firstLine == "not ready: warming 1/2, probe: unexpected answer")
        try await Self.expectOperatorsOnly("closed-for-repairs", sidecar)
        #expect(try await sidecar.startup().status == 503)

        let opened = ContinuousClock.now
        try await pg.sql("update gate set v = 'open'")
        try await sidecar.waitUntilReady()
        #expect(try await sidecar.startup().status == 200)

        let closed = ContinuousClock.now
        try await pg.sql("update gate set v = 'closed-for-repairs'")
        let lost = try await sidecar.waitUntil(503)
        #expect(lost.firstLine == "not ready: probe failed: probe: unexpected answer")
        try await Self.expectOperatorsOnly("closed-for-repairs", sidecar)
        #expect(try await sidecar.startup().status == 200)
        try await pg.sql("update gate set v = 'open'")
        try await sidecar.waitUntilReady()

        let seen = await ready.stop()
        #expect(seen.statuses == [503, 200, 503, 200])
        #expect(seen.answered(before: opened).statuses == [503])
        #expect(seen.begun(from: closed).statuses == [200, 503, 200])
        #expect(await startup.stop().statuses == [503, 200])
      }
    }
  }

  /// What the server said is in no body that the network can read, and is in the log and in `/status`.
  private static func expectOperatorsOnly(
    _ secret: String, _ sidecar: RunningSidecar, sourceLocation: SourceLocation = #_sourceLocation
  ) async throws {
    for path in [
      "/ready", "/ready?verbose", "/ready?format=json", "/ready/probe", "/ready/pool?verbose", "/startup",
    ] {
      for accept in ["*/*", "application/json", "application/health+json"] {
        let answer = try await sidecar.health.request("GET", path, headers: [("Accept", accept)])
        let all = answer.body + answer.headers.map { "\($0.name): \($0.value)\n" }.joined()
        #expect(!all.contains(secret), "\(path) as \(accept)", sourceLocation: sourceLocation)
      }
    }
    let status = try await sidecar.admin.request("GET", "/status").body
    #expect(status.contains(secret), sourceLocation: sourceLocation)
    #expect(
      sidecar.log("probe failed").contains { $0.fields.description.contains(secret) },
      sourceLocation: sourceLocation)
  }
}
