import Foundation
import Support
import Testing

/// Everything that the endpoint tables promise, asked of the running sidecar in each state that it can be brought into.
/// One table for all of it; the walk through the states is beside it.
@Suite("the endpoints in each state of the running sidecar", .timeLimit(.minutes(10)))
struct ContractTests {
  /// What one state promises. First lines may go on with a reason that depends on how the state came about.
  struct State: Sendable {
    let name: String
    let ready: Promise
    let startup: Promise
    /// The checks that may fail, and must fail in part; empty: all pass.
    var failing: Set<String> = []
    var envoy: String?
    let phase: String
  }

  struct Promise: Sendable {
    let status: Int
    let line: String
  }

  static let states = [
    State(
      name: "warming", ready: Promise(status: 503, line: "not ready: warming 0/3"),
      startup: Promise(status: 503, line: "not started: warming 0/3"), failing: ["pool", "probe"],
      phase: "warming"),
    State(
      name: "ready", ready: Promise(status: 200, line: "ready"),
      startup: Promise(status: 200, line: "started"), phase: "ready"),
    State(
      name: "degraded", ready: Promise(status: 200, line: "ready"),
      startup: Promise(status: 200, line: "started"), envoy: "x-envoy-degraded", phase: "ready"),
    State(
      name: "unready", ready: Promise(status: 503, line: "not ready: "),
      startup: Promise(status: 200, line: "started"), failing: ["pool", "probe"], phase: "unready"),
    State(
      name: "draining", ready: Promise(status: 503, line: "not ready: draining"),
      startup: Promise(status: 200, line: "started"), failing: ["drain"],
      envoy: "x-envoy-immediate-health-check-fail", phase: "draining"),
    State(
      name: "drained", ready: Promise(status: 503, line: "not ready: drained"),
      startup: Promise(status: 200, line: "started"), failing: ["drain"],
      envoy: "x-envoy-immediate-health-check-fail", phase: "drained"),
  ]

  @Test("paths, methods, HTTP versions, bodies and headers are as promised, in every state")
  func everyState() async throws {
    try await withPostgres { pg in
      try await pg.stop()
      let flags = [
        "--min-connections", "3", "--drain-delay", "100s", "--drain-timeout", "200s", "--probe-interval",
        "4s",
        "--fall", "1",
      ]
      try await withSidecar(flags, url: pg.tcpURL()) { sidecar in
        for state in Self.states {
          try await enter(state.name, sidecar, pg)
          try await expectHealth(state, sidecar)
          try await expectChecks(state, sidecar)
          try await expectBodies(state, sidecar)
          try await expectOtherPathsAndMethods(sidecar)
          try await expectAdmin(state, sidecar)
        }
        #expect(await sidecar.terminate() == .exited(0))
      }
    }
  }

  /// Brings the sidecar into a state, from the one before it in the table.
  private func enter(_ state: String, _ sidecar: RunningSidecar, _ pg: TestPostgres) async throws {
    switch state {
    case "warming":
      try await sidecar.waitUntil(503) { $0.firstLine.hasPrefix("not ready: warming 0/3") }
    case "ready":
      try await pg.start()
      try await sidecar.waitUntilReady(within: .seconds(40))
    case "degraded":
      // Sessions that work outrank logins that fail.
      try await pg.sql("alter role postgres password 'changed'")
      try await pg.terminateBackends(applicationNameLike: "warmgate%", limit: 1)
      try await sidecar.waitUntil(200) { $0["x-envoy-degraded"] == "true" && $0.body.contains("28P01") }
    case "unready":
      await pg.kill()
      try await sidecar.waitUntil(503)
    case "draining":
      #expect(try await sidecar.post("/drain?wait=0").status == 202)
      try await sidecar.waitUntil(503) { $0.firstLine == "not ready: draining" }
    case "drained":
      #expect(try await sidecar.post("/drain?timeout=100ms").status == 200)
    default: Issue.record("no way to \(state)")
    }
  }

  /// The paths by which each question can be asked.
  private static let aliases: [(question: String, paths: [String])] = [
    ("ready", ["/", "*", "/ready", "/readyz", "/ready?what=ever"]), ("live", ["/live", "/livez"]),
    ("startup", ["/startup", "/startupz"]),
  ]

  private func expectHealth(_ state: State, _ sidecar: RunningSidecar) async throws {
    for (question, paths) in Self.aliases {
      let promise =
        switch question {
        case "ready": state.ready
        case "startup": state.startup
        default: Promise(status: 200, line: "alive")
        }
      for path in paths {
        for method in ["GET", "HEAD", "OPTIONS"] {
          for version in ["1.1", "1.0"] {
            let answer = try await sidecar.health.request(method, path, version: version)
            let place: Comment = "\(method) \(path) HTTP/\(version) when \(state.name): \(answer)"
            #expect(answer.status == promise.status, place)
            expectHeaders(of: answer, place)
            if method == "HEAD" {
              #expect(answer.body == "", place)
            } else {
              let isExact = promise.status == 200 || state.failing == ["drain"]
              #expect(
                isExact ? answer.firstLine == promise.line : answer.firstLine.hasPrefix(promise.line), place)
              #expect(answer.body.hasSuffix("\n"), place)
              #expect(answer["Content-Length"] == "\(answer.body.utf8.count)", place)
            }
            #expect(answer["Allow"] == (method == "OPTIONS" ? "GET, HEAD, OPTIONS" : nil), place)
            #expect(answer["Retry-After"] == (promise.status == 503 ? "4" : nil), place)
            for header in ["x-envoy-degraded", "x-envoy-immediate-health-check-fail"] {
              #expect(answer[header] == (question == "ready" && state.envoy == header ? "true" : nil), place)
            }
          }
        }
      }
    }
    // What is exactly on the wire of HAProxy's default check.
    let raw = try await sidecar.health.exchange(Array("OPTIONS / HTTP/1.0\r\n\r\n".utf8))
    #expect(raw.closed)
    #expect(raw.received.contains(" \(state.ready.status) "))
  }

  private func expectHeaders(
    of answer: HTTPAnswer, type: String = "text/plain; charset=utf-8", _ place: Comment
  ) {
    #expect(answer["Content-Type"] == type, place)
    #expect(answer["Content-Length"].flatMap { Int($0) } != nil, place)
    #expect(answer["Cache-Control"] == "no-store", place)
    #expect(answer["X-Content-Type-Options"] == "nosniff", place)
    #expect(answer["Location"] == nil, place)
    #expect(answer.body.utf8.count < 10_240, place)
    // The open listener tells no host, no user, no password, and none of the server's words.
    for secret in [TestPostgres.password, "127.0.0.1", "for user", "\"postgres\"", "role \""] {
      #expect(!answer.body.contains(secret), place)
    }
  }

  private static let checks = ["heartbeat", "drain", "pool", "probe"]

  private func expectChecks(_ state: State, _ sidecar: RunningSidecar) async throws {
    // Taken together, at one moment.
    let verbose = try await sidecar.ready("?verbose")
    #expect(verbose.status == state.ready.status)
    let lines = verbose.body.split(separator: "\n").map(String.init)
    let failed = Set(
      Self.checks.filter { name in lines.contains { $0.hasPrefix("[-]\(name) failed: ") } })
    let passed = Set(Self.checks.filter { name in lines.contains("[+]\(name) ok") })
    #expect(failed.union(passed) == Set(Self.checks), "\(verbose.body)")
    #expect(failed.isSubset(of: state.failing) && failed.isEmpty == state.failing.isEmpty, "\(verbose.body)")
    #expect(lines.last == "readyz check \(state.ready.status == 200 ? "passed" : "failed")")

    for name in Self.checks {
      for path in ["/ready/\(name)", "/readyz/\(name)"] {
        let answer = try await sidecar.health.request("GET", path)
        let place: Comment = "\(path) when \(state.name): \(answer)"
        #expect(answer.status == (failed.contains(name) ? 503 : 200), place)
        #expect(
          failed.contains(name)
            ? answer.firstLine.hasPrefix("\(name) failed: ") : answer.firstLine == "\(name) ok", place)
        expectHeaders(of: answer, place)
      }
    }

    // What can be left out is left out of the verdict; a drain and a stuck loop are not to be argued with.
    let without = try await sidecar.ready(
      "?verbose&exclude=pool&exclude=probe&exclude=drain&exclude=heartbeat")
    #expect(
      without.body.contains("[+]pool excluded: ok\n") && without.body.contains("[+]probe excluded: ok\n"))
    #expect(
      without.status
        == (failed.contains("drain") ? 503 : state.phase == "ready" || !failed.isEmpty ? 200 : 503))
    let unknown = try await sidecar.ready("?exclude=nothing")
    #expect(unknown.status == state.ready.status)
    #expect(unknown.body.contains("warn: some health checks cannot be excluded: no matches for \"nothing\""))

    for (path, name, passes) in [
      ("/live", "heartbeat", true), ("/startup", "startup", state.startup.status == 200),
    ] {
      let answer = try await sidecar.health.request("GET", "\(path)?verbose")
      let lines = answer.body.split(separator: "\n").map(String.init)
      #expect(lines.first?.hasPrefix(passes ? "[+]\(name) ok" : "[-]\(name) failed: ") == true, "\(answer)")
      #expect(lines.last == "\(path.dropFirst())z check \(passes ? "passed" : "failed")", "\(answer)")
    }
  }

  private func expectBodies(_ state: State, _ sidecar: RunningSidecar) async throws {
    let isReady = state.ready.status == 200
    for (path, headers) in [("/ready?format=json", []), ("/ready", [("Accept", "application/json")])] {
      let answer = try await sidecar.health.request("GET", path, headers: headers)
      let place: Comment = "\(path) when \(state.name): \(answer)"
      #expect(answer.status == state.ready.status, place)
      expectHeaders(of: answer, type: "application/json", place)
      let json = try JSONValue(answer.body)
      #expect(answer.firstLine.hasPrefix("{\"ready\":\(isReady)"), place)
      #expect(json["ready"].bool == isReady, place)
      #expect(json["state"].string == state.phase, place)
      #expect(json["degraded"].bool == (state.name == "degraded"), place)
      #expect(json["reasons"].array.isEmpty == (state.name == "ready"), place)
      #expect(json["pool"]["min"].int == 3, place)
      #expect(json["checks"].array.compactMap { $0["name"].string } == Self.checks, place)
      if state.name == "degraded" {
        let reason = json["reasons"][0]
        #expect(reason["sqlstate"].string == "28P01", place)
        #expect(reason["class"].string != nil && reason["step"].string != nil, place)
      }
      if isReady { #expect(json["probe"].object.isEmpty == false, place) }
      #expect((json["drain"] == .null) == (state.failing != ["drain"]), place)
    }
    let health = try await sidecar.health.request(
      "GET", "/ready", headers: [("Accept", "application/health+json")])
    let place: Comment = "health+json when \(state.name): \(health)"
    #expect(health.status == state.ready.status, place)
    expectHeaders(of: health, type: "application/health+json", place)
    let status = try JSONValue(health.body)["status"].string
    #expect(status == (isReady ? (state.name == "degraded" ? "warn" : "pass") : "fail"), place)
    #expect(
      try JSONValue(try await sidecar.health.request("GET", "/live?format=json").body)["alive"] == .bool(true)
    )
    let started = try await sidecar.health.request("GET", "/startup?format=json")
    #expect(try JSONValue(started.body)["started"].bool == (state.startup.status == 200))
  }

  private func expectOtherPathsAndMethods(_ sidecar: RunningSidecar) async throws {
    for path in ["/nothing", "/ready/", "/ready/nothing", "/READY", "/status", "/drain", "/resume", "/quit"] {
      for method in ["GET", "POST"] {
        let answer = try await sidecar.health.request(method, path)
        #expect(answer.status == 404, "\(method) \(path)")
        expectHeaders(of: answer, "\(method) \(path)")
      }
    }
    for path in ["/", "/ready", "/live", "/startup", "/ready/pool"] {
      for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE"] {
        let answer = try await sidecar.health.request(method, path)
        #expect(answer.status == 405, "\(method) \(path)")
        #expect(answer["Allow"] == "GET, HEAD, OPTIONS")
        expectHeaders(of: answer, "\(method) \(path)")
      }
    }
    // Load balancers send whatever they like.
    for host in ["evil.example", "10.0.0.1:8086", "[::1]", ""] {
      let answer = try await sidecar.health.request("GET", "/live", headers: [("Host", host)])
      #expect(answer.status == 200)
    }
  }

  private func expectAdmin(_ state: State, _ sidecar: RunningSidecar) async throws {
    for method in ["GET", "HEAD"] {
      for (path, type) in [("/", "text/plain; charset=utf-8"), ("/status", "application/json")] {
        let answer = try await sidecar.admin.request(method, path)
        #expect(answer.status == 200, "\(method) \(path)")
        #expect(answer["Content-Type"] == type)
        #expect(answer["Cache-Control"] == "no-store")
        #expect(!answer.body.contains(TestPostgres.password))
      }
    }
    let status = try await sidecar.status()
    #expect(status["ready"].bool == (state.ready.status == 200))
    #expect(status["state"].string == state.phase)
    #expect(status["degraded"].bool == (state.name == "degraded"))
    #expect(status["startup"]["done"].bool == (state.startup.status == 200))
    #expect(status["counters"]["impossible_events"].int == 0)
    let shown = status["settings"].array.first { $0["name"].string == "min-connections" }
    #expect(shown?["value"].string == "3")
    #expect(shown?["source"].string == "flag")
    for (method, path, expected) in [
      ("POST", "/", 405), ("POST", "/status", 405), ("GET", "/drain", 405), ("GET", "/resume", 405),
      ("GET", "/quit", 405), ("GET", "/ready", 404), ("GET", "/live", 404), ("POST", "/drain/", 404),
    ] {
      #expect(try await sidecar.admin.request(method, path).status == expected, "\(method) \(path)")
    }
  }
}
