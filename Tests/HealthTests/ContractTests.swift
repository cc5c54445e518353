import PoolCore
import Synchronization
import Testing

@testable import Health

/// A health listener whose state the test chooses.
final class HealthFixture: Sendable {
  let server: HealthServer
  private let state: Observer

  init(
    _ state: State = .ready, listen: String = "[::]:0", limits: ListenLimits = .health(),
    requests: RequestCounts = RequestCounts()
  ) throws {
    let observer = Observer(state.observation)
    self.state = observer
    server = try HealthServer(
      listen: [ListenAddress(parsing: listen)], probeInterval: .milliseconds(4200), limits: limits,
      requests: requests, observe: { observer.observation })
  }

  func set(_ state: State) { self.state.observation = state.observation }

  func client(patience: Int = 10) throws -> RawClient { try RawClient(server.address, patience: patience) }
}

final class Observer: Sendable {
  private let stored: Mutex<Observation>
  init(_ observation: Observation) { stored = Mutex(observation) }
  var observation: Observation {
    get { stored.withLock { $0 } }
    set { stored.withLock { $0 = newValue } }
  }
}

@Suite("The health listener answers as the contract says")
struct ContractTests {
  /// State, status and first line of `/ready`, `/live` and `/startup`; then what an Envoy is told.
  static let contract:
    [(State, ready: (Int, String), live: (Int, String), startup: (Int, String), envoy: String?)] = [
      (.starting, (503, "not ready: starting"), (200, "alive"), (503, "not started: starting"), nil),
      (.warming, (503, "not ready: warming 1/2"), (200, "alive"), (503, "not started: warming 1/2"), nil),
      (
        .warmingRefused, (503, "not ready: warming 0/2, 28P01 password authentication failed"),
        (200, "alive"),
        (503, "not started: warming 0/2, 28P01 password authentication failed"), nil
      ),
      (.ready, (200, "ready"), (200, "alive"), (200, "started"), nil),
      (.degraded, (200, "ready"), (200, "alive"), (200, "started"), "x-envoy-degraded"),
      (
        .probeFailed, (503, "not ready: probe failed: 57P03 server is starting, stopping or recovering"),
        (200, "alive"), (200, "started"), nil
      ),
      (
        .lost, (503, "not ready: database lost: tcp: connection refused"), (200, "alive"), (200, "started"),
        nil
      ),
      (
        .draining, (503, "not ready: draining"), (200, "alive"), (200, "started"),
        "x-envoy-immediate-health-check-fail"
      ),
      (
        .drained, (503, "not ready: drained"), (200, "alive"), (200, "started"),
        "x-envoy-immediate-health-check-fail"
      ),
      (
        .drainedUnstarted, (503, "not ready: drained"), (200, "alive"), (503, "not started: drained"),
        "x-envoy-immediate-health-check-fail"
      ),
      (.stalled, (503, "not ready: stalled 3.2s"), (200, "alive"), (200, "started"), nil),
      (.overdue, (503, "not ready: stalled 9.0s"), (200, "alive"), (200, "started"), nil),
      (.dead, (503, "not ready: stalled 12.0s"), (503, "not alive: stalled 12.0s"), (200, "started"), nil),
    ]

  static let aliases = [
    [
      "/", "*", "/ready", "/readyz", "/ready?any=thing&else", "/?", "http://some.proxy/ready",
      "http://some.proxy",
    ],
    ["/live", "/livez", "/live?x"], ["/startup", "/startupz"],
  ]

  @Test("every path, method and HTTP version in every state", arguments: contract.indices)
  func table(row: Int) throws {
    let (state, ready, live, startup, envoy) = Self.contract[row]
    let fixture = try HealthFixture(state)
    defer { fixture.server.stop() }
    let client = try fixture.client()
    for (paths, expected) in zip(Self.aliases, [ready, live, startup]) {
      for path in paths {
        for method in ["GET", "HEAD", "OPTIONS"] {
          let response = try client.ask(method, path)
          let place = "\(method) \(path) when \(state)"
          #expect(response.status == expected.0, "\(place)")
          if method != "HEAD" {
            let lines = response.body.split(separator: "\n", omittingEmptySubsequences: false)
            #expect(lines.first.map(String.init) == expected.1, "\(place)")
            #expect(lines.last == "", "\(place)")
          }
          let got = ["x-envoy-degraded", "x-envoy-immediate-health-check-fail"].filter {
            response[$0] == "true"
          }
          #expect(got == (paths[0] == "/" ? [envoy].compactMap { $0 } : []), "\(place)")
          #expect(response["Retry-After"] == (expected.0 == 503 ? "5" : nil), "\(place)")
          Self.expectCommonHeaders(of: response, "text/plain; charset=utf-8", place)
          #expect(response["Allow"] == (method == "OPTIONS" ? "GET, HEAD, OPTIONS" : nil))
          #expect(response["Connection"] == nil, "the connection is kept")
        }
      }
      // HAProxy's default check: HTTP/1.0 and no Host. It gets the same, and the connection ends.
      let old = try fixture.client()
      let response = try old.ask("OPTIONS", paths[0], version: "HTTP/1.0", host: nil)
      #expect(response.status == expected.0)
      #expect(try old.isEnded())
    }
  }

  static func expectCommonHeaders(of response: RawResponse, _ type: String, _ place: String) {
    #expect(response["Content-Type"] == type, "\(place)")
    #expect(response["Cache-Control"] == "no-store", "\(place)")
    #expect(response["X-Content-Type-Options"] == "nosniff", "\(place)")
    #expect(response["Content-Length"].flatMap { Int($0) } != nil, "\(place)")
    #expect(response["Location"] == nil, "\(place)")
    #expect(
      response.headers.map { "\($0): \($1)\r\n".utf8.count }.reduce(0, +) + response.body.utf8.count < 10_240)
  }

  @Test("every state of the table is in it, and none twice")
  func tableIsComplete() {
    #expect(Self.contract.map(\.0.description) == State.all.map(\.description))
  }

  @Test(
    "each check can be asked alone",
    arguments: [
      (State.ready, "heartbeat", 200, "heartbeat ok"), (.ready, "drain", 200, "drain ok"),
      (.ready, "pool", 200, "pool ok"), (.ready, "probe", 200, "probe ok"),
      (.starting, "pool", 503, "pool failed: starting"), (.starting, "probe", 503, "probe failed: starting"),
      (.starting, "heartbeat", 200, "heartbeat ok"), (.warming, "pool", 503, "pool failed: warming 1/2"),
      (.warming, "probe", 200, "probe ok"),
      (.lost, "pool", 503, "pool failed: database lost: tcp: connection refused"),
      (.draining, "drain", 503, "drain failed: draining"), (.draining, "pool", 200, "pool ok"),
      (.stalled, "heartbeat", 503, "heartbeat failed: stalled 3.2s"),
      (.stalled, "probe", 503, "probe failed: stalled 3.2s"),
      (.overdue, "pool", 503, "pool failed: stalled 9.0s"),
    ])
  func single(state: State, name: String, status: Int, line: String) throws {
    let fixture = try HealthFixture(state)
    defer { fixture.server.stop() }
    let client = try fixture.client()
    for path in ["/ready/\(name)", "/readyz/\(name)"] {
      let response = try client.ask("GET", path)
      #expect(response.status == status)
      #expect(response.body == line + "\n")
    }
    let verbose = try client.ask("GET", "/readyz/\(name)?verbose")
    let sign = status == 200 ? "[+]" : "[-]"
    #expect(verbose.body == "\(sign)\(line)\nreadyz check \(status == 200 ? "passed" : "failed")\n")
  }

  @Test("an unknown path is 404, whatever the method, and nothing of admin exists here")
  func notFound() throws {
    let fixture = try HealthFixture()
    defer { fixture.server.stop() }
    let client = try fixture.client()
    for path in [
      "/nothing", "/ready/", "/ready/nothing", "/readyz/", "/live/heartbeat", "/LIVE", "//ready", "/status",
      "/drain",
      "/resume", "/quit", "/../ready",
    ] {
      for method in ["GET", "OPTIONS", "POST"] {
        let response = try client.ask(method, path, body: method == "POST" ? "x=1" : nil)
        #expect(response.status == 404, "\(method) \(path)")
        Self.expectCommonHeaders(of: response, "text/plain; charset=utf-8", path)
      }
    }
  }

  @Test(
    "other methods are 405 and told what is allowed",
    arguments: ["POST", "PUT", "DELETE", "PATCH", "TRACE", "X"])
  func methods(method: String) throws {
    let fixture = try HealthFixture()
    defer { fixture.server.stop() }
    let client = try fixture.client()
    for path in ["/", "/ready", "/live", "/startup", "/ready/pool"] {
      let response = try client.ask(method, path)
      #expect(response.status == 405)
      #expect(response["Allow"] == "GET, HEAD, OPTIONS")
      Self.expectCommonHeaders(of: response, "text/plain; charset=utf-8", path)
    }
  }

  @Test("any Host is fine, and none too")
  func hosts() throws {
    let fixture = try HealthFixture()
    defer { fixture.server.stop() }
    let client = try fixture.client()
    for host in ["evil.example", "10.0.0.1:8086", "[::1]", "", " ", "a b", nil] {
      #expect(try client.ask("GET", "/ready", host: host).status == 200)
    }
  }

  @Test("a GET with a body is answered, and so is one that waits for 100 Continue")
  func bodies() throws {
    let fixture = try HealthFixture()
    defer { fixture.server.stop() }
    let client = try fixture.client()
    #expect(try client.ask("GET", "/ready", body: String(repeating: "x", count: 100_000)).status == 200)
    try client.send("GET /ready HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    #expect(try client.receive().status == 100)
    try client.send("abc")
    #expect(try client.receive().status == 200)
    try client.send(
      "GET /ready HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    #expect(try client.receive().status == 200)
    #expect(try client.ask("GET", "/live").status == 200)
  }

  @Test("both IP families reach it")
  func families() throws {
    let fixture = try HealthFixture()
    defer { fixture.server.stop() }
    let port = try #require(fixture.server.address.port)
    #expect(try RawClient(ListenAddress(parsing: "127.0.0.1:\(port)")).ask("GET", "/ready").status == 200)
    #expect(try RawClient(ListenAddress(parsing: "[::1]:\(port)")).ask("GET", "/ready").status == 200)
  }

  @Test("Retry-After is the probe interval in whole seconds, at least one")
  func retryAfter() {
    for (interval, expected) in [
      (Duration.milliseconds(100), "1"), (.seconds(1), "1"), (.milliseconds(1001), "2"), (.seconds(30), "30"),
      (.zero, "1"), (.seconds(-5), "1"),
    ] {
      let routes = HealthRoutes(probeInterval: interval, metrics: .unversioned) { State.warming.observation }
      let response = routes.respond(to: Request(.get, "/ready"))
      #expect(response.headers.first { $0.name == "Retry-After" }?.value == expected)
    }
  }
}
