import Foundation
import PoolCore
import Testing

@testable import Health

@Suite("The status page")
struct StatusPageTests {
  /// As browsers send it.
  private static let browser = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

  private func page(_ state: State = .ready, headers: [String] = [browser]) throws -> RawResponse {
    try ask("/", of: state, headers: headers)
  }

  private func ask(_ path: String, of state: State, headers: [String] = []) throws -> RawResponse {
    let fixture = try AdminFixture(state)
    return try withExtendedLifetime(fixture) { try fixture.client().ask("GET", path, headers: headers) }
  }

  @Test(
    "is HTML for who names it, JSON for who names that, and a few lines for everybody else",
    arguments: [
      (browser, "text/html; charset=utf-8", "<!doctype html>"),
      ("Accept: application/json", "application/json", "{\"ready\":true"),
      ("Accept: */*", "text/plain; charset=utf-8", "warmgate/test, warmgate 1.2.3\nready since 20"),
      ("Accept: text/plain", "text/plain; charset=utf-8", "warmgate/test"),
      ("Accept: image/png", "text/plain; charset=utf-8", "warmgate/test"),
      ("X-Nothing: 1", "text/plain; charset=utf-8", "warmgate/test"),
    ])
  func forms(header: String, type: String, begins: String) throws {
    let answer = try page(headers: [header])
    #expect(answer.status == 200)
    #expect(answer["Content-Type"] == type)
    #expect(answer["Vary"] == "Accept")
    #expect(answer["Cache-Control"] == "no-store")
    #expect(answer["X-Content-Type-Options"] == "nosniff")
    #expect(answer.body.hasPrefix(begins))
  }

  @Test("in a terminal says why and what to do, without control characters of the server's")
  func terminal() throws {
    let state = State("hostile", .unready) {
      $0.reasons = [
        .probeFailed(Fault(.server(.cannotConnectNow), at: .probe, message: "\u{1B}[2Jgone\nready"))
      ]
    }
    let lines = try page(state, headers: []).body.split(separator: "\n", omittingEmptySubsequences: false)
    #expect(lines[1].hasPrefix("not ready since 20"))
    #expect(lines[2] == "  probe failed: 57P03 server is starting, stopping or recovering:  [2Jgone ready")
    #expect(lines[3].hasPrefix("  → Wait: the server is starting"))
    #expect(lines[4] == "2/10 connections: 2 idle, 0 in use, 0 connecting; 0 waiting")
  }

  @Test("is one document below 30 KiB, and names nothing outside itself")
  func selfContained() throws {
    let body = try page().body
    #expect(body.utf8.count < 30 * 1024, "\(body.utf8.count) bytes")
    let addresses = body.matches(of: /(?:src|href|url|action)\s*[=(]\s*["']?([^"'\s>)]*)/).map {
      String($0.output.1)
    }
    #expect(Set(addresses) == ["data:,", "status"])
    let hosts = body.matches(of: /https?:\/\/[^"\s]*/).map { String($0.output) }
    #expect(Set(hosts) == ["http://www.w3.org/2000/svg"], "the name of a namespace, which nobody fetches")
    #expect(!body.contains("{{"))
    for way in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
      #expect(!body.contains(way), "\(way) makes markup or code of text")
    }
  }

  @Test("allows its own script and style alone, by a number that is new every time")
  func policy() throws {
    var seen = Set<String>()
    for _ in 0..<3 {
      let answer = try page()
      let policy = try #require(answer["Content-Security-Policy"])
      let nonce = try #require(policy.firstMatch(of: /script-src 'nonce-([0-9a-f]{32})'/)).output.1
      seen.insert(String(nonce))
      #expect(policy.hasPrefix("default-src 'none'; "))
      for part in [
        "style-src 'nonce-\(nonce)'", "connect-src 'self'", "base-uri 'none'", "form-action 'none'",
        "frame-ancestors 'none'", "require-trusted-types-for 'script'",
      ] {
        #expect(policy.contains(part), "\(part)")
      }
      #expect(!policy.contains("unsafe"))
      #expect(answer.body.components(separatedBy: "nonce=\"\(nonce)\"").count == 3)
      #expect(answer.body.components(separatedBy: "<script").count == 2)
      #expect(answer["Referrer-Policy"] == "no-referrer")
      #expect(answer["X-Frame-Options"] == "DENY")
    }
    #expect(seen.count == 3)
  }

  @Test("says state, reason and what to do by itself, whatever the server called it")
  func escaped() throws {
    let hostile = "</title><script>alert(1)</script> & \"'\u{0}"
    let state = State("hostile", .unready) {
      $0.reasons = [.probeFailed(Fault(.refused, at: .probe, host: "<b>", message: hostile))]
    }
    let body = try page(state).body
    #expect(body.contains("<body data-state=\"unready\">"))
    #expect(body.contains("<title>not ready · warmgate/test</title>"))
    #expect(
      body.contains(
        "(&lt;b&gt;): &lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;&#39; </p>"))
    #expect(body.contains("<p class=\"advice\">Nothing listens there: check host and port"))
    #expect(!body.contains("alert(1)</script>"))
  }

  @Test("can act on nothing, and is refused to who the listener refuses")
  func guarded() throws {
    let body = try page().body
    #expect(!body.contains("<form") && !body.contains("POST"))
    let fixture = try AdminFixture()
    let client = try fixture.client()
    #expect(try client.ask("GET", "/", headers: [Self.browser, "Sec-Fetch-Site: cross-site"]).status == 403)
    #expect(try client.ask("GET", "/", headers: [Self.browser, "Origin: http://evil.example"]).status == 403)
    #expect(try client.ask("GET", "/", host: "evil.example", headers: [Self.browser]).status == 403)
    #expect(try client.ask("HEAD", "/", headers: [Self.browser]).status == 200)
    let secured = try AdminFixture(token: "secret")
    #expect(try secured.client().ask("GET", "/", headers: [Self.browser]).status == 401)
    withExtendedLifetime((fixture, secured)) {}
  }

  @Test("/status says what to do about what stands against being ready and about each fault")
  func advice() throws {
    let state = State("lost", .unready) { snapshot in
      let fault = State.fault(.refused, .tcp)
      snapshot.reasons = [.databaseLost(fault)]
      snapshot.faults = [FaultRecord(fault: fault, first: State.now, last: State.now, count: 1)]
    }
    let status = try ask("/status", of: state).body
    let value = try #require(try JSONSerialization.jsonObject(with: Data(status.utf8)) as? [String: Any])
    let advice = State.fault(.refused, .tcp).advice
    #expect((value["reasons"] as? [[String: Any]])?.first?["advice"] as? String == advice)
    #expect((value["faults"] as? [[String: Any]])?.first?["advice"] as? String == advice)
  }

  @Test("/status has the history in columns of one length")
  func history() throws {
    let state = State("with a past", .ready) { snapshot in
      for second in 0..<20 {
        var past = snapshot
        past.taken = State.now - .seconds(20 - second)
        past.pool.waiting = second
        past.probe.last = .init(at: past.taken, took: .milliseconds(second))
        snapshot.history.note(past)
      }
    }
    let status = try ask("/status", of: state).body
    let value = try #require(try JSONSerialization.jsonObject(with: Data(status.utf8)) as? [String: Any])
    let history = try #require(value["history"] as? [String: Any])
    #expect(history["step"] as? Double == 2)
    #expect(history["age"] as? [Double] == stride(from: 20, through: 2, by: -2).map { $0 })
    #expect(history["waiting"] as? [Int] == Array(stride(from: 1, through: 19, by: 2)))
    #expect((history["probe_took"] as? [Double])?.last == 0.019)
    for name in ["idle", "leased", "connecting", "probes_failed"] {
      #expect((history[name] as? [Any])?.count == 10, "\(name)")
    }
  }
}
