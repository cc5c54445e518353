import Foundation

/// A Prometheus of a test's own on 127.0.0.1, and what Debian brings with it and beside it to check metrics.
public final class Prometheus: Sendable {
  public let port: Int
  private let directory: TemporaryDirectory
  private let process: BackgroundProgram

  /// Starts it and returns when it answers. It scrapes `targets` ten times a second, and knows the rules of `rules`,
  /// the text of a rule file.
  public static func started(scraping targets: [String], rules: String = "groups: []") async throws
    -> Prometheus
  {
    let prometheus = try Prometheus(targets, rules)
    let isReady = await eventually(within: .seconds(60), every: .milliseconds(50)) {
      try await HTTPProbe(.tcp("127.0.0.1", prometheus.port)).request("GET", "/-/ready").status == 200
    }
    guard isReady else { throw FixtureError("Prometheus is not ready:\n\(prometheus.log)") }
    return prometheus
  }

  private init(_ targets: [String], _ rules: String) throws {
    directory = try TemporaryDirectory()
    port = freePort()
    try directory.write("warmgate.rules.yaml", rules)
    let list = targets.map { "\"\($0)\"" }.joined(separator: ", ")
    let settings = try directory.write(
      "prometheus.yaml",
      """
      global: { scrape_interval: 100ms, evaluation_interval: 200ms }
      rule_files: [warmgate.rules.yaml]
      scrape_configs:
        - job_name: shop
          static_configs: [{ targets: [\(list)] }]
      """)
    process = try BackgroundProgram(
      [
        "prometheus", "--config.file=\(settings)", "--storage.tsdb.path=\(directory.file("data"))",
        "--web.listen-address=127.0.0.1:\(port)",
      ], log: directory.file("log"))
  }

  deinit {
    process.kill()
    directory.remove()
  }

  public var log: String { process.log }

  /// Its HTTP API: the `data` of the answer, an error with its own words if it refuses.
  public func api(_ path: String, _ parameters: [String: String] = [:]) async throws -> Any {
    var allowed = CharacterSet.alphanumerics
    allowed.insert(charactersIn: "-._~")
    let query = parameters.map { name, value in
      "\(name)=\(value.addingPercentEncoding(withAllowedCharacters: allowed) ?? "")"
    }.joined(separator: "&")
    // HTTP/1.0: otherwise it sends long answers in chunks.
    let answer = try await HTTPProbe(.tcp("127.0.0.1", port)).request(
      "GET", "/api/v1/\(path)?\(query)", version: "1.0", within: .seconds(30))
    let body = try JSONSerialization.jsonObject(with: Data(answer.body.utf8)) as? [String: Any]
    guard answer.status == 200, let data = body?["data"] else {
      throw FixtureError("\(path) \(parameters): \(answer.status) \(answer.body)")
    }
    return data
  }

  /// The values that an expression has now, each with its labels.
  public func query(_ expression: String) async throws -> [(labels: [String: String], value: Double)] {
    let data = try await api("query", ["query": expression]) as? [String: Any]
    let result = data?["result"] as? [[String: Any]] ?? []
    return result.compactMap { sample in
      guard let text = (sample["value"] as? [Any])?.last as? String, let value = Double(text) else {
        return nil
      }
      return (sample["metric"] as? [String: String] ?? [:], value)
    }
  }

  // MARK: - Checks without a server

  /// Throws with what `promtool check metrics` complains about.
  public static func checkMetrics(_ text: String) async throws {
    let result = try await run(["promtool", "check", "metrics"], input: text)
    guard result.succeeded, result.errors.isEmpty else {
      throw FixtureError("promtool: \(result.errors)\(result.output)")
    }
  }

  /// Throws with what the OpenMetrics reader of Prometheus' Python client (Debian's) does not understand.
  public static func checkOpenMetrics(_ text: String) async throws {
    let program = """
      import sys
      from prometheus_client.openmetrics.parser import text_string_to_metric_families
      families = list(text_string_to_metric_families(sys.stdin.read()))
      assert len(families) > 30, families
      """
    try await runChecked(["/usr/bin/python3", "-c", program], input: text)
  }
}
