import Foundation
import Support
import Synchronization
import Testing

@testable import Health
@testable import PoolCore

@Suite("Metrics")
struct MetricsTests {
  /// The public names, with the kind of each. Dashboards and alerts of strangers rest on them.
  static let names: [String: String] = [
    "warmgate_ready": "gauge", "warmgate_state": "gauge", "warmgate_not_ready_reason": "gauge",
    "warmgate_ready_transitions_total": "counter", "warmgate_time_to_ready_seconds": "gauge",
    "warmgate_pool_connections": "gauge", "warmgate_pool_min": "gauge", "warmgate_pool_max": "gauge",
    "warmgate_pool_waiting": "gauge", "warmgate_pool_acquire_seconds": "histogram",
    "warmgate_pool_acquire_failures_total": "counter", "warmgate_pool_lease_seconds": "histogram",
    "warmgate_pool_leaks_total": "counter", "warmgate_connects_total": "counter",
    "warmgate_connect_seconds": "histogram", "warmgate_warmed_without_ticket_total": "counter",
    "warmgate_connects_in_flight": "gauge",
    "warmgate_closes_total": "counter", "warmgate_retries_total": "counter", "warmgate_generation": "gauge",
    "warmgate_breaker_state": "gauge", "warmgate_probe_seconds": "histogram",
    "warmgate_probes_total": "counter", "warmgate_database_errors_total": "counter",
    "warmgate_server_slots": "gauge", "warmgate_drain_seconds": "gauge", "warmgate_drain_leases": "gauge",
    "warmgate_http_requests_total": "counter", "warmgate_build_info": "gauge",
    "process_cpu_seconds_total": "counter", "process_open_fds": "gauge", "process_max_fds": "gauge",
    "process_virtual_memory_bytes": "gauge", "process_virtual_memory_max_bytes": "gauge",
    "process_resident_memory_bytes": "gauge", "process_start_time_seconds": "gauge",
    "process_threads": "gauge",
  ]

  @Test("the names are those that are promised, in every state", arguments: State.all)
  func names(state: State) {
    let page = state.page()
    #expect(page.kinds == Self.names)
    #expect(page.odd == [])
    let bare = Set(page.values.keys.map { $0.prefix { $0 != "{" } }.map(String.init))
    let endings = ["_bucket", "_sum", "_count"]
    for name in bare {
      let family = endings.compactMap { name.hasSuffix($0) ? String(name.dropLast($0.count)) : nil }.first
      #expect(Self.names[name] != nil || family.flatMap { Self.names[$0] } == "histogram", "\(name)")
    }
  }

  @Test("OpenMetrics says the same series, under the names of their families", arguments: State.all)
  func openMetrics(state: State) {
    let (page, open) = (state.page(), state.page(.openMetrics))
    #expect(open.values == page.values)
    #expect(open.odd == [])
    #expect(open.text.hasSuffix("\n# EOF\n") && !page.text.contains("# EOF"))
    for (name, kind) in Self.names {
      let family =
        kind == "counter"
        ? String(name.dropLast("_total".count)) : name == "warmgate_build_info" ? "warmgate_build" : name
      #expect(open.kinds[family] == (name == "warmgate_build_info" ? "info" : kind), "\(family)")
      for unit in ["seconds", "bytes"] where family.hasSuffix("_" + unit) {
        #expect(open.units[family] == unit, "\(family)")
      }
    }
  }

  @Test("it is in exactly one state, and what it says of readiness is what /ready says", arguments: State.all)
  func readiness(state: State) throws {
    let page = state.page()
    let verdict = state.observation.verdict
    #expect(page["warmgate_ready"] == (verdict.isReady ? 1 : 0))
    #expect(page.series(of: "warmgate_state").values.reduce(0, +) == 1)
    let reasons = page.series(of: "warmgate_not_ready_reason").filter { $0.value == 1 }.keys
    let expected = verdict.isReady ? [] : verdict.reasons.map(\.name)
    #expect(Set(reasons) == Set(expected.map { "warmgate_not_ready_reason{reason=\"\($0)\"}" }))
    #expect(verdict.isReady || !reasons.isEmpty)
  }

  @Test(
    "the state has the name that operators know",
    arguments: [
      (State.starting, "starting"), (.warming, "warming"), (.ready, "ready"), (.degraded, "degraded"),
      (.lost, "unready"), (.draining, "draining"), (.drained, "drained"), (.stalled, "stalled"),
      (.overdue, "stalled"), (.dead, "stalled"),
    ])
  func stateName(state: State, name: String) {
    #expect(state.page()["warmgate_state{state=\"\(name)\"}"] == 1)
  }

  @Test("what is not known yet has no series")
  func unknown() {
    let page = State.starting.page()
    #expect(page["warmgate_time_to_ready_seconds"] == nil)
    #expect(page.series(of: "warmgate_server_slots").isEmpty)
    #expect(page["warmgate_drain_seconds"] == nil)
    #expect(State.drained.page()["warmgate_drain_seconds"] == 8)
    #expect(State.drained.page()["warmgate_drain_leases{outcome=\"finished\"}"] == 3)
    #expect(State.drained.page()["warmgate_drain_leases{outcome=\"pending\"}"] == 0)
    #expect(State.ready.page()["warmgate_time_to_ready_seconds"] == 0.021)
  }

  @Test("what can be counted is there from the start, at zero, so that a rate sees the first one")
  func zero() {
    let page = State.starting.page()
    #expect(page["warmgate_database_errors_total{class=\"28\",sqlstate=\"28P01\"}"] == 0)
    #expect(page["warmgate_database_errors_total{class=\"refused\",sqlstate=\"none\"}"] == 0)
    for reason in AcquireRefusal.Kind.allCases.map(\.rawValue) + ["cancelled"] {
      #expect(page["warmgate_pool_acquire_failures_total{reason=\"\(reason)\"}"] == 0)
    }
    #expect(page.series(of: "warmgate_closes_total").count == CloseReason.allCases.count)
  }

  @Test(
    "a histogram's counts ascend to the number of all, and its bounds are written as OpenMetrics wants them")
  func histograms() throws {
    var state = State.ready.observation.snapshot
    var histogram = Histogram(.wait)
    for nanoseconds: Int64 in [0, 9_000, 400_000, 999_000_000, 77_000_000_000] {
      histogram.add(nanoseconds: nanoseconds)
    }
    state.timings.acquires = histogram
    let page = MetricsPage(
      MetricsText(Scrape(Observation(snapshot: state, now: State.now)), as: .openMetrics).text)
    let buckets = [
      "1e-05": 2.0, "0.0001": 2, "0.00025": 2, "0.0005": 3, "0.5": 3, "1.0": 4, "5.0": 4, "+Inf": 5,
    ]
    for (bound, count) in buckets {
      #expect(page["warmgate_pool_acquire_seconds_bucket{le=\"\(bound)\"}"] == count, "\(bound)")
    }
    #expect(page["warmgate_pool_acquire_seconds_count"] == 5)
    let sum = try #require(page["warmgate_pool_acquire_seconds_sum"])
    #expect(abs(sum - 77.999409) < 1e-6)
  }

  @Test("leaks are leases held too long and sessions that the server told of")
  func leaks() {
    var snapshot = State.ready.observation.snapshot
    snapshot.counters.leaks = 2
    snapshot.sessionLeaks.total = 3
    let page = MetricsPage(
      MetricsText(Scrape(Observation(snapshot: snapshot, now: State.now)), as: .prometheus).text)
    #expect(page["warmgate_pool_leaks_total"] == 5)
  }

  @Test("quotes, backslashes and line breaks in a label's value are escaped")
  func escaping() {
    let text = MetricsText(Scrape(State.ready.observation, version: "a\"b\\c\nd"), as: .prometheus).text
    #expect(text.contains(#"warmgate_build_info{version="a\"b\\c\nd"} 1"#))
  }

  @Test("nothing that only operators may see is in it", arguments: State.all)
  func secrets(state: State) {
    for form in [MetricsText.Form.prometheus, .openMetrics] {
      let text = state.page(form).text
      #expect(!text.contains("hidden"))
      #expect(!text.contains("5432"))
    }
  }

  @Test("a hostile server and a hostile client add no series without bound")
  func cardinality() throws {
    var core = PoolCore(settings: PoolSettings(), seed: 1, at: .origin)
    var now = Instant.origin
    var code = 0
    func carryOut(_ effects: [Effect]) {
      for case .login(let id, _) in effects {
        code += 1
        let text = String(repeating: "0", count: 5 - String(code).count) + String(code)
        guard let state = SQLState(text) else { continue }
        carryOut(core.handle(.loginFailed(id, Fault(.server(state), at: .session)), at: now))
      }
    }
    carryOut(core.handle(.begin, at: now))
    while code < 1000, let next = core.nextWake {
      now = max(now, next)
      carryOut(core.handle(.wake, at: now))
    }
    #expect(code == 1000)
    let requests = RequestCounts()
    let fixture = try HealthFixture(.ready, requests: requests)
    defer { fixture.server.stop() }
    let client = try fixture.client()
    for number in 0..<500 { _ = try client.ask("GET", "/\(number)?\(number)=\(number)") }
    for number in 0..<50 { _ = try client.ask("X\(number)", "/ready") }
    let page = MetricsPage(
      MetricsText(
        Scrape(Observation(snapshot: core.snapshot(at: now), now: now), requests: requests.all),
        as: .prometheus
      ).text)
    let errors = page.series(of: "warmgate_database_errors_total")
    #expect(errors.values.reduce(0, +) >= 1000)
    #expect(
      errors.count == FaultCounts.unknownStates + SQLState.known.count + Fault.kindNames.count + 1)
    #expect(
      page.series(of: "warmgate_http_requests_total") == [
        "warmgate_http_requests_total{path=\"other\",code=\"404\"}": 500,
        "warmgate_http_requests_total{path=\"/ready\",code=\"405\"}": 50,
      ])
    #expect(page.values.count < 350)
  }

  @Test(
    "promtool finds nothing to complain about, and OpenMetrics is read by a reader of it",
    arguments: State.all)
  func checked(state: State) async throws {
    let requests = RequestCounts()
    requests.add(.ready, .ok)
    requests.add(.other, .notFound)
    try await Prometheus.checkMetrics(state.page(requests: requests).text)
    try await Prometheus.checkOpenMetrics(state.page(.openMetrics, requests: requests).text)
  }
}

@Suite("The metrics endpoint")
struct MetricsEndpointTests {
  static let plain = "text/plain; version=0.0.4; charset=utf-8"
  static let open = "application/openmetrics-text; version=1.0.0; charset=utf-8"

  @Test(
    "Accept decides the form",
    arguments: [
      (nil, plain), ("*/*", plain), ("", plain), ("text/plain", plain), ("text/html,*/*;q=0.8", plain),
      ("application/json", plain), ("application/openmetrics-text", open),
      // Prometheus 2.42 and 3.
      (
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
          + "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", open
      ),
      (
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
          + "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
          + "text/plain;version=0.0.4;q=0.2,*/*;q=0.1", open
      ),
      ("text/plain;version=0.0.4;q=0.9,application/openmetrics-text;q=0.1", plain),
    ])
  func negotiation(accept: String?, expected: String) throws {
    let fixture = try HealthFixture()
    defer { fixture.server.stop() }
    let response = try fixture.client().ask(
      "GET", "/metrics", headers: accept.map { ["Accept: \($0)"] } ?? [])
    #expect(response.status == 200)
    #expect(response["Content-Type"] == expected)
    #expect(response["Cache-Control"] == "no-store")
    #expect(response.body.hasSuffix("# EOF\n") == (expected == Self.open))
  }

  @Test("it answers in every state, with 200", arguments: State.all)
  func always(state: State) throws {
    let fixture = try HealthFixture(state)
    defer { fixture.server.stop() }
    let client = try fixture.client()
    let page = MetricsPage(try client.ask("GET", "/metrics").body)
    #expect(page["warmgate_ready"] == (state.observation.verdict.isReady ? 1 : 0))
    #expect(try client.ask("HEAD", "/metrics").status == 200)
    #expect(try client.ask("OPTIONS", "/metrics")["Allow"] == "GET, HEAD, OPTIONS")
    #expect(try client.ask("POST", "/metrics", body: "x").status == 405)
    #expect(try client.ask("GET", "/metrics/").status == 404)
  }

  @Test("a page is made ten times a second at most, however many ask")
  func bounded() throws {
    let observed = Mutex(0)
    let server = try HealthServer(
      listen: [ListenAddress(parsing: "127.0.0.1:0")], probeInterval: .seconds(5), version: "test"
    ) {
      observed.withLock { $0 += 1 }
      return State.ready.observation
    }
    defer { server.stop() }
    let client = try RawClient(server.address)
    let began = ContinuousClock.now
    for _ in 0..<2000 { #expect(try client.ask("GET", "/metrics").status == 200) }
    let tenths = Int((ContinuousClock.now - began) / MetricsRoute.madeAtMostEvery)
    #expect(observed.withLock { $0 } <= tenths + 1)
  }

  @Test("the requests of many clients at once are counted, each once, by path and status")
  func counted() async throws {
    let requests = RequestCounts()
    let fixture = try HealthFixture(.warming, requests: requests)
    defer { fixture.server.stop() }
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<8 {
        group.addTask {
          let client = try fixture.client()
          for _ in 0..<100 {
            _ = try client.ask("GET", "/readyz")
            _ = try client.ask("HEAD", "/live")
            _ = try client.ask("GET", "/ready/pool")
            _ = try client.ask("DELETE", "/startup")
            _ = try client.ask("GET", "/admin")
          }
        }
      }
      try await group.waitForAll()
    }
    let expected: [(RequestCounts.Path, Int)] = [
      (.ready, 503), (.readyPool, 503), (.live, 200), (.startup, 405), (.other, 404),
    ]
    #expect(requests.all == expected.map { .init(path: $0.0, code: $0.1, count: 800) })
  }
}
