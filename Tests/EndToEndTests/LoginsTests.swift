import Support
import Testing

@Suite("logins that fail while sessions work")
struct LoginsTests {
  @Test(
    "a full server costs no connection that works: the same sessions, ready all the time, degraded for want of slots"
  )
  func fullServer() async throws {
    // Three of the eight slots are kept for superusers.
    try await withPostgres(["max_connections": "8"]) { pg in
      try await pg.sql("create role app login password 'secret'")
      // Ageing is what makes a pool that is warm log in again.
      try await withSidecar(["--max-lifetime", "4s"], url: pg.tcpURL(user: "app")) { sidecar in
        try await sidecar.waitUntilReady()
        let observer = sidecar.observer()
        let occupants = Occupants()
        try await occupants.take(3, at: pg, user: "app")
        func pids() async throws -> String {
          try await pg.sql(
            "select string_agg(pid::text, ',' order by pid) from pg_stat_activity where application_name like 'warmgate%'"
          )
        }
        let before = try await pids()
        #expect(before.split(separator: ",").count == 2)

        // Refused once, and then it looks and does not knock, for more than a connection's lifetime.
        let refused = await eventually(within: .seconds(60)) {
          let login = try await sidecar.status()["login"]
          return login["last_fault"]["sqlstate"].string == "53300" && login["last_fault_age"].double ?? 0 >= 6
        }
        #expect(refused)
        #expect(try await sidecar.status()["login"]["failures_in_row"].int ?? 0 <= 2)
        let answer = try await sidecar.ready()
        #expect(answer.status == 200)
        #expect(answer["x-envoy-degraded"] == "true")
        let verdict = try await sidecar.verdict()
        #expect(verdict["degraded"].bool == true)
        #expect(verdict["reasons"][0]["name"].string == "no_slots")
        #expect(answer.body.contains("no slots: at least 5 of 5 used, 1 more needed"))
        #expect(try await pids() == before)

        // With room again, ageing goes on.
        try await occupants.leave(pg)
        #expect(
          await eventually(within: .seconds(60)) {
            let now = try await pids()
            return !now.contains(before) && now.split(separator: ",").count >= 2
          })
        try await sidecar.waitUntil(200, within: .seconds(60)) { $0["x-envoy-degraded"] == nil }
        #expect(await observer.stop().allSatisfy { $0.status == 200 })
      }
    }
  }
}
