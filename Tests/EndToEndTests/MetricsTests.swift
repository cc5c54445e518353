import Foundation
import Support
import Testing

extension RunningSidecar {
  /// The values of `/metrics` by name and labels, as in its text. What promtool and a reader of OpenMetrics complain
  /// about is thrown.
  func checkedMetrics() async throws -> [String: Double] {
    let text = try await health.request("GET", "/metrics").body
    try await Prometheus.checkMetrics(text)
    let open = try await health.request(
      "GET", "/metrics", headers: [("Accept", "application/openmetrics-text; version=1.0.0")])
    #expect(open["Content-Type"]?.hasPrefix("application/openmetrics-text; version=1.0.0") == true)
    try await Prometheus.checkOpenMetrics(open.body)
    return Self.values(of: text)
  }

  /// One value, of a page that nobody checks.
  func metric(_ series: String) async throws -> Double? {
    Self.values(of: try await health.request("GET", "/metrics").body)[series]
  }

  private static func values(of text: String) -> [String: Double] {
    var values: [String: Double] = [:]
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      guard let space = line.lastIndex(of: " ") else { continue }
      values[String(line[..<space])] = Double(line[line.index(after: space)...])
    }
    return values
  }
}

@Suite("metrics of the built executable")
struct MetricsTests {
  @Test("well-formed and true while it warms in vain, is ready, loses its database, drains and is drained")
  func states() async throws {
    try await withPostgres { pg in
      try await pg.sql("create role app login password 'right'")
      let directory = try TemporaryDirectory()
      defer { directory.remove() }
      let file = try directory.write("password", "wrong")
      let flags = ["--password-file", file, "--drain-delay", "0s", "--max-connections", "3"]
      try await withSidecar(flags, url: pg.tcpURL(user: "app", password: nil)) { sidecar in
        let refused = "warmgate_database_errors_total{class=\"28\",sqlstate=\"28P01\"}"
        #expect(await eventually { try await (sidecar.metric(refused) ?? 0) > 0 })
        var page = try await sidecar.checkedMetrics()
        #expect(page["warmgate_ready"] == 0)
        #expect(page["warmgate_state{state=\"warming\"}"] == 1)
        #expect(page["warmgate_not_ready_reason{reason=\"warming\"}"] == 1)
        #expect(page["warmgate_connects_total{outcome=\"failure\"}"] == page[refused])
        #expect(page["warmgate_time_to_ready_seconds"] == nil)

        try directory.write("password", "right")
        try await sidecar.waitUntilReady()
        #expect(
          await eventually { try await sidecar.metric("warmgate_server_slots{kind=\"used\"}") ?? 0 >= 2 })
        page = try await sidecar.checkedMetrics()
        #expect(page["warmgate_ready"] == 1)
        #expect(page["warmgate_state{state=\"ready\"}"] == 1)
        #expect(page["warmgate_pool_connections{state=\"idle\"}"] == 2)
        #expect(page["warmgate_pool_min"] == 2 && page["warmgate_pool_max"] == 3)
        #expect(page["warmgate_connects_total{outcome=\"success\"}"] == 2)
        #expect(page["warmgate_connect_seconds_count"] == 2)
        #expect(page["warmgate_server_slots{kind=\"max\"}"] == 100)
        #expect(page["warmgate_time_to_ready_seconds"] ?? 0 > 0)
        #expect(page["warmgate_probe_seconds_count"] == page["warmgate_probes_total{outcome=\"success\"}"])

        try await pg.stop(.immediate)
        try await sidecar.waitUntil(503)
        #expect(await eventually { try await sidecar.metric("warmgate_ready") == 0 })
        page = try await sidecar.checkedMetrics()
        #expect(page["warmgate_state{state=\"unready\"}"] == 1)
        #expect(page["warmgate_not_ready_reason{reason=\"database_lost\"}"] == 1)
        #expect(page["warmgate_ready_transitions_total"] == 2)

        try await pg.start()
        try await sidecar.waitUntilReady()
        #expect(try await sidecar.post("/drain").status == 200)
        #expect(
          await eventually { try await sidecar.metric("warmgate_state{state=\"drained\"}") == 1 })
        page = try await sidecar.checkedMetrics()
        #expect(page["warmgate_pool_connections{state=\"idle\"}"] == 0)
        #expect(page["warmgate_drain_seconds"] ?? -1 >= 0)
        #expect(page["warmgate_drain_leases{outcome=\"cut\"}"] == 0)
        #expect(page["warmgate_http_requests_total{path=\"/drain\",code=\"200\"}"] == 1)
        let closed = page.filter { $0.key.hasPrefix("warmgate_closes_total{") }.values.reduce(0, +)
        #expect(closed == page["warmgate_connects_total{outcome=\"success\"}"])
      }
    }
  }

  @Test("the process is told of as the kernel counts it")
  func process() async throws {
    let before = Date().timeIntervalSince1970
    try await withSidecarAndPostgres { sidecar, _ in
      try await sidecar.waitUntilReady()
      let page = try await sidecar.checkedMetrics()
      let usage = try #require(sidecar.process.usage)
      let resident = try #require(page["process_resident_memory_bytes"])
      #expect(resident > Double(usage.rss) / 2 && resident < Double(usage.rss) * 2)
      #expect(try #require(page["process_virtual_memory_bytes"]) > resident)
      // A connection of the scraper, and logins that have ended since.
      let open = try #require(page["process_open_fds"])
      #expect(open > 10 && abs(open - Double(usage.openFiles)) < 20)
      #expect(try #require(page["process_max_fds"]) > open)
      #expect(abs(try #require(page["process_threads"]) - Double(usage.threads)) < 5)
      let cpu = try #require(page["process_cpu_seconds_total"])
      #expect(cpu > 0 && cpu < 60)
      let started = try #require(page["process_start_time_seconds"])
      #expect(started > before - 1 && started < Date().timeIntervalSince1970)
      #expect(try await sidecar.metric("process_start_time_seconds") == started)
    }
  }

  @Test("no name of a host, user or database, nor anything the server said, is told to whoever asks")
  func secrets() async throws {
    try await withPostgres { pg in
      try await pg.sql("create role captain_hook login password 'peter-pan'")
      let url = pg.tcpURL(user: "captain_hook", password: "not-this", database: "neverland")
      try await withSidecar(url: url) { sidecar in
        let failures = "warmgate_connects_total{outcome=\"failure\"}"
        #expect(await eventually { try await (sidecar.metric(failures) ?? 0) > 0 })
        let text = try await sidecar.health.request("GET", "/metrics").body
        for word in [
          "captain_hook", "peter-pan", "not-this", "neverland", "127.0.0.1", "\(pg.port)", "FATAL",
        ] {
          #expect(!text.contains(word), "\(word)")
        }
      }
    }
  }

  @Test("a loop that is stuck is shown as stalled, on a page that comes at once")
  func stalled() async throws {
    try await withSidecarAndPostgres { sidecar, _ in
      try await sidecar.waitUntilReady()
      sidecar.process.signal(SIGUSR2)
      #expect(
        await eventually(within: .seconds(14)) {
          try await sidecar.metric("warmgate_state{state=\"stalled\"}") == 1
        })
      let page = try await sidecar.health.request("GET", "/metrics")
      #expect(page.elapsed < .seconds(5))
      #expect(page.body.contains("\nwarmgate_ready 0\n"))
      #expect(page.body.contains("warmgate_not_ready_reason{reason=\"stalled\"} 1"))
    }
  }

  @Test("scraping asks the database nothing")
  func free() async throws {
    let flags = ["--probe-interval", "20m", "--health-check-interval", "20m"]
    try await withSidecarAndPostgres(flags) { sidecar, pg in
      try await sidecar.waitUntilReady()
      let last = "select max(query_start)::text from pg_stat_activity where application_name like 'warmgate%'"
      // What follows the first probe (the room, the sessions) is asked first.
      var before = try await pg.sql(last)
      #expect(
        await eventually(within: .seconds(60), every: .seconds(2)) {
          let now = try await pg.sql(last)
          defer { before = now }
          return now == before
        })
      let probes = try await sidecar.metric("warmgate_probes_total{outcome=\"success\"}")
      let connection = try await sidecar.health.connect()
      for _ in 0..<50 {
        #expect(try await connection.request("GET", "/metrics").status == 200)
        try await Task.sleep(for: .milliseconds(100))
      }
      #expect(try await pg.sql(last) == before)
      #expect(try await sidecar.metric("warmgate_probes_total{outcome=\"success\"}") == probes)
    }
  }
}
