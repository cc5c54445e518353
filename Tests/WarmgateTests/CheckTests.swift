import Foundation
import Support
import Testing

@testable import warmgate

@Suite struct CheckTests {
  /// What `check` told, by step.
  private struct Report {
    let status: Support.ExitStatus
    let ok: Bool
    let failed: String?
    let advice: String?
    let steps: [(name: String, outcome: String, text: String, advice: String?)]

    init(_ words: String...) async throws {
      let result = try await run([ServedProcess.executable, "check", "--json"] + words)
      status = result.status
      let object = try #require(
        try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any], "\(result.output)"
      )
      ok = try #require(object["ok"] as? Bool)
      failed = object["failed"] as? String
      advice = object["advice"] as? String
      let list = try #require(object["steps"] as? [[String: Any]])
      steps = list.map { step in
        (
          step["step"] as? String ?? "", step["outcome"] as? String ?? "", step["text"] as? String ?? "",
          step["advice"] as? String
        )
      }
      #expect(!result.output.contains("s3cret") && !result.errors.contains("s3cret"))
    }

    func text(_ step: String) -> String? { steps.first { $0.name == step }?.text }
    func outcome(_ step: String) -> String? { steps.first { $0.name == step }?.outcome }
  }

  @Test("a database that works is explained step by step, and the exit code is 0")
  func works() async throws {
    try await withPostgres { server in
      let report = try await Report("--database-url", server.tcpURL())
      #expect(report.status == .exited(0))
      #expect(report.ok)
      #expect(
        report.steps.map(\.name) == ["settings", "name", "tcp", "tls", "login", "role", "probe", "room"])
      #expect(report.text("tls") == "not encrypted")
      #expect(report.text("login")?.hasPrefix("as postgres to postgres, PostgreSQL 15") == true)
      #expect(report.text("role") == "primary")
      #expect(report.text("probe") == "\"SELECT 1\" answered \"1\"")
      #expect(report.text("room")?.hasPrefix("max_connections ") == true)

      let text = try await warmgate("check", "--database-url", server.unixURL)
      #expect(text.status == .exited(0))
      let names = text.output.split(separator: "\n").map { $0.prefix { $0 != " " } }
      #expect(names == ["settings", "socket", "tls", "login", "role", "probe", "room"])
      #expect(server.logLines(matching: "unexpected EOF|could not receive data|incomplete startup").isEmpty)
    }
  }

  @Test("each failing step is named, with what to do about it")
  func fails() async throws {
    try await withPostgres { server in
      func expect(_ step: String, _ advice: String, _ words: String...) async throws {
        let result = try await run([ServedProcess.executable, "check", "--json"] + words)
        #expect(result.status == .exited(1))
        #expect(result.output.contains("\"failed\":\"\(step)\",\"advice\":\"\(advice)"), "\(result.output)")
        #expect(!result.output.contains("s3cret"))
      }
      let url = server.tcpURL()
      try await expect(
        "login", "Check user and password", "--database-url", server.tcpURL(password: "s3cret"))
      try await expect(
        "login", "The server asks for a password", "--database-url", server.tcpURL(password: nil))
      try await expect("login", "Create the database", "--database-url", server.tcpURL(database: "none"))
      try await expect(
        "tcp", "Nothing listens there", "--database-url", "postgres://u:s3cret@127.0.0.1:\(freePort())/d")
      try await expect("name", "Check the host name", "--database-url", "postgres://u:s3cret@nope.invalid/d")
      try await expect("tls", "Check sslmode", "--database-url", url + "?sslmode=require")
      try await expect("role", "Name the right host", "--database-url", url, "--require-role", "standby")
      try await expect(
        "probe", "Create the table", "--database-url", url, "--probe-query", "select 1 from none")
      try await expect(
        "probe", "Correct --probe-query or --probe-expect", "--database-url", url, "--probe-expect", "2")
      try await expect(
        "probe", "The server takes too long", "--database-url", url, "--probe-query", "select pg_sleep(60)",
        "--probe-timeout", "100ms")
    }
  }

  @Test("room is advice: a limit below the pool is a warning that names it, and the check still passes")
  func room() async throws {
    try await withPostgres { server in
      try await server.sql("create role app login connection limit 5")
      let report = try await Report("--database-url", server.unixURL(user: "app"))
      #expect(report.status == .exited(0))
      #expect(report.outcome("room") == "warning")
      #expect(report.text("room")?.contains("role limit 5 with 0 used: about 5 free") == true)
      let small = try await Report("--database-url", server.unixURL(user: "app"), "--max-connections", "5")
      #expect(small.outcome("room") == "ok")
    }
  }

  @Test("TLS is shown with its version, and a certificate that is not accepted with what to check")
  func tls() async throws {
    try await withPostgres { server in
      try await server.enableTLS()
      let url = server.tcpURL() + "?sslmode=verify-ca&sslrootcert="
      let good = try await Report("--database-url", url + server.authorityPath)
      #expect(good.status == .exited(0))
      #expect(good.text("tls")?.hasPrefix("TLSv1.") == true)
      let other = try TemporaryDirectory()
      let bad = try await Report("--database-url", url + other.file("none.crt"))
      #expect(bad.status == .exited(1))
      #expect(bad.failed == "tls")
      #expect(bad.advice?.isEmpty == false)
    }
  }

  @Test("a standby passes where one is required, with how far it is behind")
  func standby() async throws {
    try await withPostgres { primary in
      let standby = try await primary.makeStandby()
      let report = try await Report(
        "--database-url", standby.unixURL, "--require-role", "standby", "--max-replay-lag", "1h")
      #expect(report.status == .exited(0))
      #expect(report.text("role")?.hasPrefix("standby, ") == true)
      #expect(report.text("role")?.hasSuffix("s behind, as required") == true)
      let wrong = try await Report("--database-url", standby.unixURL, "--require-role", "primary")
      #expect(wrong.status == .exited(1))
      #expect(wrong.failed == "role")
    }
  }

  @Test("of several hosts one that works is enough; which one is told")
  func hosts() async throws {
    try await withPostgres { server in
      let dead = freePort()
      let url = "postgres://postgres:secret@127.0.0.1:\(dead),127.0.0.1:\(server.port)/postgres"
      let report = try await Report("--database-url", url)
      #expect(report.status == .exited(0))
      #expect(report.steps.filter { $0.name == "tcp" }.map(\.outcome) == ["warning", "ok"])
      #expect(report.text("hosts") == "127.0.0.1:\(server.port) is the one that is used")
      let none = try await Report(
        "--database-url", "postgres://u:s3cret@127.0.0.1:\(dead),127.0.0.1:\(dead)/d")
      #expect(none.status == .exited(1))
      #expect(none.failed == "hosts")
      #expect(none.text("hosts") == "none of the 2 hosts can be used")
    }
  }
}
