import FleetSim
import Foundation
import Support
import Testing

@testable import warmgate

#if canImport(FoundationXML)
  import FoundationXML
#endif

@Suite struct SimulateTests {
  @Test(
    "what simulate does not understand is one line and exit code 2",
    arguments: [
      ([], "simulate needs a scenario; \"warmgate simulate --list\" names them"),
      (["outage"], "simulate needs to know how many instances: --instances NUMBER"),
      (["outrage", "--instances", "2"], "unknown scenario \"outrage\": did you mean outage?"),
      (
        ["flood", "--instances", "2"],
        "unknown scenario \"flood\"; \"warmgate simulate --list\" names them, a file needs a / or a . in its path"
      ),
      (["outage", "now"], "unexpected argument \"now\"; \"warmgate help simulate\" shows the usage"),
      (["--list", "outage"], "unexpected argument \"outage\"; \"warmgate help simulate\" shows the usage"),
      (["outage", "--instances", "0"], "--instances \"0\": give 1 to 100000"),
      (["outage", "--instances", "many"], "--instances \"many\": give a whole number that is not negative"),
      (["outage", "--instances", "2", "--connections", "10001"], "--connections \"10001\": give 1 to 10000"),
      (
        ["outage", "--instances", "100000", "--connections", "11"],
        "--instances 100000 with --connections 11: give at most 1000000 connections in all"
      ),
      (
        ["outage", "--instances", "2", "--strategy", "warmgate,hikari"],
        "--strategy \"hikari\": give warmgate, every-slot, postgres-nio, hikaricp, psycopg-pool or pgbouncer; did you mean hikaricp?"
      ),
      (
        ["outage", "--instances", "2", "--server-logins-per-second", "0"],
        "--server-logins-per-second \"0\": give 1 to 1000000"
      ),
      (
        ["outage", "--instances", "2", "--connect-timeout", "10ms"],
        "--connect-timeout \"10ms\": give 100ms to 1h"
      ),
      (["outage", "--instance", "2"], "unknown option \"--instance\": did you mean --instances?"),
      (
        ["/nonexistent/may.txt", "--instances", "2"],
        "scenario \"/nonexistent/may.txt\": cannot be opened: No such file or directory"
      ),
    ])
  func usageErrors(words: [String], text: String) async throws {
    let result = try await run([ServedProcess.executable, "simulate"] + words)
    #expect(result.status == .exited(2))
    #expect(result.errors == "warmgate: \(text)\n")
    #expect(result.output == "")
  }

  @Test("--list names every scenario and every strategy, and each of them can be run")
  func list() async throws {
    let list = try await warmgate("simulate", "--list")
    #expect(list.status == .exited(0))
    let lines = list.output.split(separator: "\n").map(String.init)
    for name in Scenario.known.map(\.name) + Strategy.allCases.map(\.rawValue) {
      #expect(lines.contains { $0.hasPrefix("  \(name) ") })
    }
    #expect(lines.allSatisfy { $0.count <= 110 })
    for scenario in Scenario.known {
      let result = try await warmgate(
        "simulate", scenario.name, "--instances", "2", "--connections", "2", "--strategy",
        "warmgate,pgbouncer")
      #expect(result.status == .exited(0))
      #expect(result.errors == "")
      #expect(result.output.contains("\nwarmgate ") && result.output.contains("\npgbouncer "))
    }
  }

  @Test(
    "the table says what was simulated on which server, a row for each strategy, and where ours is not the best"
  )
  func table() async throws {
    let result = try await warmgate(
      "simulate", "outage", "--instances", "20", "--connections", "5", "--seed", "7", "--server-connections",
      "120",
      "--server-logins-per-second", "40", "--strategy", "warmgate,pgbouncer")
    #expect(result.status == .exited(0))
    let lines = result.output.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    #expect(lines[1] == "fleet     20 instances × 5 connections, seed 7")
    #expect(
      lines[2] == "server    a model: max_connections 120, 3 reserved; 40 logins a second by 2 workers,")
    #expect(lines.allSatisfy { $0.count <= 110 })
    let header = try #require(lines.first { $0.contains("peak/100ms") })
    for row in lines where row.hasPrefix("warmgate ") || row.hasPrefix("pgbouncer ") {
      #expect(row.count == header.count)
      #expect(row.hasSuffix("20/20"))
    }
    // It knocks four times a minute: nobody does so less.
    #expect(result.output.contains("Better than warmgate:\n  refused/s: pgbouncer "))
  }

  @Test("--json is one object with the same figures and the series, the same bytes for the same seed")
  func json() async throws {
    func text() async throws -> String {
      try await warmgate("simulate", "outage", "--instances", "10", "--connections", "3", "--json").output
    }
    let first = try await text()
    #expect(try await text() == first)
    let answer = try #require(
      try JSONSerialization.jsonObject(with: Data(first.utf8)) as? [String: Any])
    #expect(answer["scenario"] as? String == "outage")
    #expect(answer["trouble_begins"] as? Double == 5 && answer["calm"] as? Double == 35)
    let server = try #require(answer["server"] as? [String: Any])
    #expect(server["max_connections"] as? Int == 48 && server["reserved"] as? Int == 3)
    let strategies = try #require(answer["strategies"] as? [[String: Any]])
    #expect(strategies.map { $0["strategy"] as? String } == Strategy.allCases.map(\.rawValue))
    for strategy in strategies {
      let series = try #require(strategy["series"] as? [String: [Int]])
      #expect(Set(series.keys) == ["logins", "sessions", "ready"])
      #expect(Set(series.values.map(\.count)).count == 1)
      #expect(series["sessions"]?.first == 30)
      #expect(strategy["violations"] as? [String] == [])
    }
  }

  @Test("--svg writes a file that XML readers take, with a line for each strategy in each chart")
  func svg() async throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("outage.svg")
    let result = try await warmgate(
      "simulate", "outage", "--instances", "10", "--connections", "3", "--svg", path)
    #expect(result.status == .exited(0))
    #expect(result.output.contains("\nwarmgate "))
    let text = try String(contentsOfFile: path, encoding: .utf8)
    #expect(XMLParser(data: Data(text.utf8)).parse())
    #expect(text.split(separator: "<polyline").count - 1 == 4 * Strategy.allCases.count)
    #expect(text.contains("prefers-color-scheme: dark"))
    #expect(!text.contains("href"))
  }

  @Test("a chart that cannot be written is said in a line, after the table, and exits 1")
  func unwritable() async throws {
    let result = try await warmgate(
      "simulate", "outage", "--instances", "2", "--strategy", "pgbouncer", "--svg", "/nonexistent/a.svg")
    #expect(result.status == .exited(1))
    #expect(
      result.errors == "warmgate: --svg \"/nonexistent/a.svg\": cannot be opened: No such file or directory\n"
    )
    #expect(result.output.contains("\npgbouncer "))
  }

  @Test("a scenario of one's own is read from a file; a line that is not understood is named")
  func file() async throws {
    let directory = try TemporaryDirectory()
    let good = try directory.write("may.txt", "# in May\nat 0s warm all\nat 2s outage 10s starting 2s\n")
    let result = try await warmgate("simulate", good, "--instances", "3", "--strategy", "warmgate")
    #expect(result.status == .exited(0))
    #expect(result.output.contains("ready\n") && result.output.contains("3/3"))
    let bad = try directory.write("june.txt", "at 0s warm all\nat 2s outrage 10s\n")
    let refused = try await warmgate("simulate", bad, "--instances", "3")
    #expect(refused.status == .exited(2))
    #expect(
      refused.errors
        == "warmgate: scenario \"\(bad)\": line 2: \"outrage\" after the time: give warm, start, roll, outage, restart, occupy, slow or partition\n"
    )
    let long = try directory.write("long.txt", String(repeating: "#", count: 2_000_000))
    let tooLong = try await warmgate("simulate", long, "--instances", "3")
    #expect(tooLong.errors == "warmgate: scenario \"\(long)\": is longer than 1048576 bytes\n")
  }
}
