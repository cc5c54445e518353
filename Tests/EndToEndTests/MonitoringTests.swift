import Foundation
import Support
import Testing

/// The files in `k8s/monitoring`: what they say must be what `/metrics` says.
@Suite("alerts and dashboard")
struct MonitoringTests {
  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("k8s/monitoring").path

  /// As the comment in prometheusrule.yaml says to make it.
  static func rules() async throws -> String {
    try await runChecked(["sed", "1,/^spec:$/d", "\(folder)/prometheusrule.yaml"])
  }

  struct Query: Sendable, CustomStringConvertible {
    var panel: String
    var text: String
    var description: String { panel }

    /// With Grafana's variables put in.
    var expression: String {
      text.replacing("$__rate_interval", with: "1m").replacing("$job", with: ".+").replacing(
        "$instance", with: ".+")
    }
  }

  /// Every query of the dashboard, those of its variables left out.
  static func queries() throws -> [Query] {
    let data = try Data(contentsOf: URL(fileURLWithPath: "\(folder)/dashboard.json"))
    let dashboard = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    let panels = try #require(dashboard["panels"] as? [[String: Any]])
    return panels.flatMap { panel in
      (panel["targets"] as? [[String: Any]] ?? []).compactMap { target in
        (target["expr"] as? String).map { Query(panel: panel["title"] as? String ?? "?", text: $0) }
      }
    }
  }

  /// The names of metrics, as the executable tells them.
  static func names() async throws -> Set<String> {
    let table = try await runChecked([ServedProcess.executable, "help", "metrics", "--markdown"])
    return Set(
      table.split(separator: "\n").compactMap { line in
        guard line.hasPrefix("| `") else { return nil }
        return String(line.dropFirst(3).prefix { $0 == "_" || $0.isLetter || $0.isNumber })
      })
  }

  @Test("promtool takes the rules, and each alert fires in its cases and not in others")
  func promtool() async throws {
    let directory = try TemporaryDirectory()
    defer { directory.remove() }
    try directory.write("warmgate.rules.yaml", try await Self.rules())
    let checked = try await runChecked(
      ["promtool", "check", "rules", "--lint-fatal", directory.file("warmgate.rules.yaml")])
    #expect(checked.contains("9 rules found"))
    let cases = try String(contentsOfFile: "\(Self.folder)/rules.test.yaml", encoding: .utf8)
    let test = try directory.write("rules.test.yaml", cases)
    try await runChecked(["promtool", "test", "rules", test], within: .seconds(120))
  }

  @Test("each alert says what is wrong and what to do, and has a case that fires and one that does not")
  func alerts() async throws {
    let rules = try await Self.rules()
    let cases = try String(contentsOfFile: "\(Self.folder)/rules.test.yaml", encoding: .utf8)
    let alerts = rules.components(separatedBy: "- alert: ").dropFirst()
    #expect(alerts.count == 9)
    for alert in alerts {
      let name = String(alert.prefix { $0 != "\n" })
      for part in ["severity: ", "summary: ", "description: >-"] { #expect(alert.contains(part), "\(name)") }
      #expect(cases.contains("alertname: \(name)\n        exp_alerts:\n          - exp_labels"), "\(name)")
    }
  }

  @Test("rules and dashboard ask for metrics that there are")
  func known() async throws {
    let names = try await Self.names()
    #expect(names.count > 30)
    let texts = try await [Self.rules()] + Self.queries().map(\.text)
    var asked: Set<String> = []
    for text in texts {
      // Not the words of annotations that name none.
      for match in text.matches(of: #/\b(warmgate|process)_[a-z_]+/#) {
        let name = String(match.output.0)
        let family = ["_bucket", "_sum", "_count"].first { name.hasSuffix($0) }.map {
          String(name.dropLast($0.count))
        }
        #expect(names.contains(name) || family.map(names.contains) == true, "\(name)")
        asked.insert(family ?? name)
      }
    }
    // The dashboard shows all that Warmgate itself counts, but what the pages of others tell as well.
    let left = names.filter { $0.hasPrefix("warmgate_") }.subtracting(asked)
    #expect(left == [], "no panel shows \(left)")
  }

  @Test("a real Prometheus scrapes it, draws every panel, and raises the alert when the database is gone")
  func prometheus() async throws {
    let rules = try await Self.rules()
    let queries = try Self.queries()
    #expect(queries.count > 30)
    // Without waiting five minutes; what is tested here is that the alert comes from real series.
    let hasty = rules.replacing(#/for: \d+m/#, with: "for: 1s")
    try await withSidecarAndPostgres(["--max-connections", "3"]) { sidecar, pg in
      try await sidecar.waitUntilReady()
      let prometheus = try await Prometheus.started(
        scraping: ["127.0.0.1:\(sidecar.healthPort)"], rules: hasty)
      #expect(
        await eventually { try await prometheus.query("warmgate_ready").map(\.value) == [1] })
      #expect(try await prometheus.query("up").map(\.value) == [1])
      #expect(try await prometheus.query("sum(warmgate_state)").map(\.value) == [1])
      // Units are in OpenMetrics only: that is what it asked for.
      let metadata = try await prometheus.api("targets/metadata", ["metric": "warmgate_probe_seconds"])
      let entry = try #require((metadata as? [[String: Any]])?.first)
      #expect(entry["unit"] as? String == "seconds" && entry["type"] as? String == "histogram")

      let p99 = "histogram_quantile(0.99, sum by (le) (warmgate_connect_seconds_bucket))"
      let slowest = try #require(try await prometheus.query(p99).first)
      #expect(slowest.value > 0 && slowest.value <= 10)

      for query in queries {
        do { _ = try await prometheus.query(query.expression) } catch {
          Issue.record("\(query.panel): \(query.expression): \(error)")
        }
      }
      for name in ["Ready", "Instances", "Instances by state", "Connections", "Server slots"] {
        let query = try #require(queries.first { $0.panel == name })
        #expect(
          await eventually { try await !prometheus.query(query.expression).isEmpty }, "\(name) shows nothing")
      }

      // It scrapes ten times a second, and has counted so itself.
      #expect(
        await eventually {
          try await (prometheus.query("warmgate_http_requests_total{path=\"/metrics\"}").first?.value ?? 0)
            > 20
        })
      try await pg.stop(.immediate)
      let firing = "ALERTS{alertname=\"WarmgateNoneReady\",alertstate=\"firing\"}"
      #expect(await eventually(within: .seconds(60)) { try await prometheus.query(firing).count == 1 })
      #expect(try await prometheus.query("warmgate_ready").map(\.value) == [0])
      let series = try await prometheus.query("count({job=\"shop\"})").first?.value
      #expect(try #require(series) < 400)
    }
  }
}
