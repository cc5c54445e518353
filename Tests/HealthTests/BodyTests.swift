import Foundation
import PoolCore
import Testing

@testable import Health

@Suite("What a verdict looks like")
struct BodyTests {
  private func respond(_ state: State, _ target: String, accept: String? = nil) -> Response {
    let parts = target.split(separator: "?", maxSplits: 1).map(String.init)
    let query = (parts.count > 1 ? parts[1] : "").split(separator: "&").map { pair in
      let sides = pair.split(separator: "=", maxSplits: 1).map(String.init)
      return Request.Field(sides[0], sides.count > 1 ? sides[1] : "")
    }
    let routes = HealthRoutes(probeInterval: .seconds(5), metrics: .unversioned) { state.observation }
    return routes.respond(
      to: Request(.get, parts[0], query: query, headers: accept.map { [Request.Field("accept", $0)] } ?? []))
  }

  private func json(_ response: Response) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(response.body.utf8)) as? [String: Any])
  }

  @Test("plain text is the verdict, and a second line only if there is more to say")
  func plain() {
    #expect(respond(.ready, "/ready").body == "ready\n")
    #expect(
      respond(.degraded, "/ready").body == "ready\ndegraded: login failing: 53300 no connection slots left\n")
    #expect(respond(.warming, "/ready").body == "not ready: warming 1/2\n")
  }

  @Test("?verbose has one line per check, as the Kubernetes API server writes it")
  func verbose() {
    #expect(
      respond(.ready, "/readyz?verbose").body == """
        [+]heartbeat ok
        [+]drain ok
        [+]pool ok
        [+]probe ok
        readyz check passed

        """)
    #expect(
      respond(.probeFailed, "/ready?verbose=1").body == """
        [+]heartbeat ok
        [+]drain ok
        [+]pool ok
        [-]probe failed: probe failed: 57P03 server is starting, stopping or recovering
        readyz check failed

        """)
    #expect(
      respond(.degraded, "/?verbose").body == """
        [+]heartbeat ok
        [+]drain ok
        [+]pool ok
        [+]probe ok
        degraded: login failing: 53300 no connection slots left
        readyz check passed

        """)
    #expect(
      respond(.dead, "/live?verbose").body == "[-]heartbeat failed: stalled 12.0s\nlivez check failed\n")
    #expect(respond(.ready, "/livez?verbose").body == "[+]heartbeat ok\nlivez check passed\n")
    #expect(
      respond(.warming, "/startup?verbose").body == "[-]startup failed: warming 1/2\nstartupz check failed\n")
    #expect(respond(.ready, "/startupz?verbose").body == "[+]startup ok\nstartupz check passed\n")
  }

  @Test("an excluded check does not count")
  func exclude() {
    let response = respond(.probeFailed, "/ready?exclude=probe&verbose")
    #expect(response.status == .ok)
    #expect(response.body.contains("[+]probe excluded: ok\nreadyz check passed\n"))
    #expect(respond(.probeFailed, "/ready?exclude=pool").status == .serviceUnavailable)
    #expect(respond(.lost, "/ready?exclude=pool").status == .serviceUnavailable)
    #expect(respond(.lost, "/ready?exclude=pool&exclude=probe").body == "ready\n")
    #expect(respond(.warming, "/ready?exclude=pool").status == .ok)
    #expect(respond(.starting, "/ready?exclude=pool").body == "not ready: starting\n")
  }

  @Test("heartbeat and drain cannot be excluded, and whoever tries is told")
  func notExcludable() {
    for (state, name) in [(State.draining, "drain"), (.drained, "drain"), (.stalled, "heartbeat")] {
      let response = respond(state, "/ready?exclude=\(name)&exclude=pool&exclude=probe")
      #expect(response.status == .serviceUnavailable)
      #expect(
        response.body.hasSuffix("warn: some health checks cannot be excluded: \"\(name)\" always in force\n"))
    }
  }

  @Test("an unknown exclusion is a warning in the words of the Kubernetes API server, on one line")
  func unknownExclusions() {
    let body = respond(.ready, "/ready?exclude=etcd&exclude=a\nb").body
    #expect(
      body == "ready\nwarn: some health checks cannot be excluded: no matches for \"etcd\",\"a\\nb\"\n")
    let many = (0..<5000).map { "exclude=\($0)" + String(repeating: "x", count: 200) }.joined(separator: "&")
    for form in ["", "&verbose", "&format=json", "&format=health"] {
      #expect(respond(.ready, "/ready?" + many + form).body.utf8.count < 8000)
    }
  }

  @Test("nothing that anybody but us has said is on the health listener", arguments: State.all)
  func silence(state: State) {
    for path in ["/", "/live", "/startup", "/ready/pool", "/ready/probe"] {
      for query in ["", "?verbose", "?format=json", "?format=health"] {
        let body = respond(state, path + query).body
        #expect(!body.contains("hidden"), "\(path)\(query): \(body)")
        #expect(body.utf8.count < 10_240 - 1024)
        #expect(body.hasSuffix("\n"))
      }
    }
  }

  @Test("JSON says the whole verdict, the answer first, in one line", arguments: State.all)
  func wholeVerdict(state: State) throws {
    for (path, first) in [("/ready", "ready"), ("/live", "alive"), ("/startup", "started")] {
      let response = respond(state, path + "?format=json")
      #expect(response.mediaType == .json)
      let value = try json(response)
      #expect(value[first] as? Bool == (response.status == .ok))
      #expect(response.body.hasPrefix("{\"\(first)\":\(response.status == .ok),"))
      #expect(response.body.filter { $0 == "\n" }.count == 1)
      for key in ["state", "degraded", "reasons", "checks", "startup", "pool", "probe", "drain"] {
        #expect(value[key] != nil, "\(key)")
      }
    }
  }

  @Test("JSON names cause, class and SQLSTATE, and the age of the last probe in seconds")
  func jsonValues() throws {
    let failed = try json(respond(.probeFailed, "/ready?format=json"))
    #expect(failed["state"] as? String == "unready")
    let reason = try #require((failed["reasons"] as? [[String: Any]])?.first)
    #expect(reason["name"] as? String == "probe_failed")
    #expect(reason["kind"] as? String == "server")
    #expect(reason["class"] as? String == "57")
    #expect(reason["sqlstate"] as? String == "57P03")
    #expect(reason["step"] as? String == "probe")
    #expect(reason["text"] as? String == "probe failed: 57P03 server is starting, stopping or recovering")

    let ready = try json(respond(.ready, "/ready?format=json"))
    let probe = try #require(ready["probe"] as? [String: Any])
    let last = try #require(probe["last"] as? [String: Any])
    #expect(last["ok"] as? Bool == true)
    #expect(last["age"] as? Double == 1.5)
    #expect(last["took"] as? Double == 0.00042)
    #expect((ready["startup"] as? [String: Any])?["took"] as? Double == 0.021)
    #expect((ready["pool"] as? [String: Any])?["open"] as? Int == 2)

    let degraded = try json(respond(.degraded, "/ready?format=json"))
    #expect(degraded["degraded"] as? Bool == true)
    #expect((degraded["reasons"] as? [[String: Any]])?.first?["sqlstate"] as? String == "53300")

    let drain = try #require(try json(respond(.drained, "/ready?format=json"))["drain"] as? [String: Any])
    #expect(drain["stage"] as? String == "done")
    #expect(drain["elapsed"] as? Double == 8)
    #expect(drain["finished"] as? Int == 3)
    #expect(try json(respond(.stalled, "/ready?format=json"))["state"] as? String == "stalled")
  }

  @Test("health+json has a status that agrees with the HTTP status, and outputs only where something failed")
  func healthJSON() throws {
    for (state, status) in [
      (State.ready, "pass"), (.degraded, "warn"), (.lost, "fail"), (.draining, "fail"), (.starting, "fail"),
    ] {
      let response = respond(state, "/ready", accept: "application/health+json")
      #expect(response.mediaType == .healthJSON)
      let value = try json(response)
      #expect(value["status"] as? String == status)
      #expect((value["output"] == nil) == (status == "pass"))
      let checks = try #require(value["checks"] as? [String: [[String: Any]]])
      #expect(
        checks.keys.sorted() == ["drain:stage", "heartbeat:age", "pool:connections", "probe:responseTime"])
      for entry in checks.values.compactMap(\.first) {
        #expect((entry["output"] == nil) == (entry["status"] as? String == "pass"))
      }
    }
    let checks = try #require(
      try json(respond(.ready, "/ready?format=health"))["checks"] as? [String: [[String: Any]]])
    let time = try #require(checks["probe:responseTime"]?.first?["time"] as? String)
    #expect(time.wholeMatch(of: #/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/#) != nil)
  }

  @Test(
    "Accept decides the form",
    arguments: [
      (nil, MediaType.text), ("*/*", .text), ("", .text), ("application/json", .json),
      ("application/json, */*", .json), ("application/json, text/plain, */*", .json),
      ("text/plain, application/json", .text), ("text/plain;q=0.5, application/json;q=0.9", .json),
      ("text/plain;q=0.9, application/json;q=0.5", .text), ("APPLICATION/JSON", .json),
      ("application/json;q=0", .text), ("application/json;q=0, */*;q=0.1", .text), ("application/*", .json),
      ("application/health+json", .healthJSON),
      ("application/health+json, application/json;q=0.9", .healthJSON),
      ("application/json;charset=utf-8;q=0.8", .json), ("image/png", .text),
      ("text/*;q=0.1, application/json", .json),
      (
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", .text
      ),
      (";;;,,,/;q=x", .text), ("application/json;q=nan", .text), ("*/*;q=0", .text),
      (String(repeating: "a/b,", count: 5000) + "application/json", .text),
    ])
  func negotiation(accept: String?, expected: MediaType) {
    #expect(respond(.ready, "/ready", accept: accept).mediaType == expected)
  }

  @Test("?format outranks Accept, and an unknown one is ignored")
  func format() {
    #expect(respond(.ready, "/ready?format=text", accept: "application/json").mediaType == .text)
    #expect(respond(.ready, "/ready?format=health+json").mediaType == .healthJSON)
    #expect(respond(.ready, "/ready?format=yaml", accept: "application/json").mediaType == .json)
  }
}
