import Foundation
import Support
import Testing

/// A password with everything in it that a URL, a keyword string, a file or a shell could stumble over. Whatever is
/// cut off it anywhere, one of its words is in the piece.
private enum Hostile {
  static let words = [
    "hunter2", "zebra", "kiwi", "plum", "quince", "fennel", "lychee", "mango", "papaya", "guava", "sorrel",
    "tamarind",
  ]
  static let password = #"hunter2@zebra:kiwi/plum quince'fennel\lychee%mango?papaya=guava&sorrel"tamarind"#

  /// As a URI wants it.
  static func encoded(_ text: String) -> String {
    text.utf8.map { byte in
      let isPlain =
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
      return isPlain ? String(UnicodeScalar(byte)) : "%" + String(byte, radix: 16, uppercase: true).leftPadded
    }.joined()
  }

  /// As a keyword string wants it.
  static func quoted(_ text: String) -> String {
    "'" + text.replacing("\\", with: "\\\\").replacing("'", with: "\\'") + "'"
  }

  /// The first of its words in `text`.
  static func piece(in text: String) -> String? { words.first(where: text.contains) }
}

extension String {
  fileprivate var leftPadded: String { count == 1 ? "0" + self : self }
}

@Suite("a password is never printed")
struct BadInputPasswordTests {
  /// A way to hand a password to the sidecar.
  private struct Way: Sendable {
    static let count = 11

    let name: String
    var flags: [String] = []
    var environment: [String: String] = [:]

    static func all(
      _ pg: TestPostgres, user: String, password: String, in directory: TemporaryDirectory
    ) throws -> [Way] {
      let port = "\(pg.port)"
      let uri = "postgresql://\(user):\(Hostile.encoded(password))@127.0.0.1:\(port)/postgres"
      let keywords = "host=127.0.0.1 port=\(port) user=\(user) dbname=postgres"
      let file = try directory.write("password", password + "\n")
      // A pass file escapes ':' and '\' (PostgreSQL manual, 34.16 "The Password File").
      let escaped = password.replacing("\\", with: "\\\\").replacing(":", with: "\\:")
      let passfile = try directory.write("passfile", "127.0.0.1:\(port):postgres:\(user):\(escaped)\n")
      let service = try directory.write(
        "services",
        "[shop]\nhost=127.0.0.1\nport=\(port)\nuser=\(user)\ndbname=postgres\npassword=\(password)\n")
      return [
        Way(name: "a URI as flag", flags: ["--database-url", uri]),
        Way(name: "a URI in DATABASE_URL", environment: ["DATABASE_URL": uri]),
        Way(name: "a URI in WARMGATE_DATABASE_URL", environment: ["WARMGATE_DATABASE_URL": uri]),
        Way(
          name: "a parameter of a URI",
          flags: [
            "--database-url",
            "postgresql://\(user)@127.0.0.1:\(port)/postgres?password=\(Hostile.encoded(password))",
          ]),
        Way(
          name: "a keyword string",
          flags: ["--database-url", "\(keywords) password=\(Hostile.quoted(password))"]),
        Way(name: "PGPASSWORD", flags: ["--database-url", keywords], environment: ["PGPASSWORD": password]),
        Way(
          name: "variables alone",
          environment: [
            "PGHOST": "127.0.0.1", "PGPORT": port, "PGUSER": user, "PGDATABASE": "postgres",
            "PGPASSWORD": password,
          ]),
        Way(name: "a pass file", flags: ["--database-url", "\(keywords) passfile=\(passfile)"]),
        Way(name: "PGPASSFILE", flags: ["--database-url", keywords], environment: ["PGPASSFILE": passfile]),
        Way(
          name: "a service file", flags: ["--database-url", "service=shop"],
          environment: ["PGSERVICEFILE": service]),
        Way(
          name: "a password file that wins over a URI",
          flags: ["--database-url", uri, "--password-file", file]),
      ]
    }
  }

  /// Everything that a running sidecar says to anybody.
  private func everything(of sidecar: RunningSidecar) async throws -> [String] {
    var texts = [sidecar.process.logText, sidecar.process.outputText]
    for path in [
      "/", "/live", "/ready", "/ready?verbose", "/ready?format=json", "/startup", "/metrics", "/nothing",
    ] {
      let answer = try await sidecar.health.request("GET", path)
      texts.append(answer.body + answer.headers.map { "\($0.name): \($0.value)" }.joined(separator: "\n"))
    }
    for path in ["/", "/status", "/nothing"] {
      texts.append(try await sidecar.admin.request("GET", path).body)
    }
    return texts
  }

  private func expectNothing(
    of texts: [String], _ name: String, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    for text in texts {
      let piece = Hostile.piece(in: text)
      #expect(piece == nil, "\(name): \(text)", sourceLocation: sourceLocation)
    }
  }

  @Test("every way to give a hostile password works, and nothing shows it: right, wrong, or in a report")
  func ways() async throws {
    try await withPostgres { pg in
      try await withThrowingTaskGroup { group in
        let directories = try (0..<Way.count).map { _ in try TemporaryDirectory() }
        for (number, directory) in directories.enumerated() {
          // A role for each, so that they do not disturb each other.
          let user = "app\(number)"
          let way = try Way.all(pg, user: user, password: Hostile.password, in: directory)[number]
          group.addTask { try await expectNothing(of: way, user: user, pg) }
        }
        try await group.waitForAll()
      }
      // The server would have logged a user, a database or a host that a piece was taken for.
      #expect(Hostile.piece(in: pg.logText) == nil)
    }
  }

  private func expectNothing(of way: Way, user: String, _ pg: TestPostgres) async throws {
    let literal = Hostile.password.replacing("'", with: "''")
    try await pg.sql("create role \(user) login password '\(literal)'")
    let environment = cleanEnvironment(adding: way.environment)
    for report in [["--print-settings"], ["--print-settings", "--json"], ["--check-settings"]] {
      let result = try await run(
        [ServedProcess.executable, "serve"] + way.flags + report, environment: environment)
      #expect(result.status == .exited(0), "\(way.name): \(result.errors)")
      expectNothing(of: [result.output, result.errors], way.name)
    }
    let check = try await run([ServedProcess.executable, "check"] + way.flags, environment: environment)
    #expect(check.status == .exited(0), "\(way.name): \(check.output)")
    expectNothing(of: [check.output, check.errors], way.name)

    try await withSidecar(way.flags + ["--max-lifetime", "2s"], environment: way.environment) { sidecar in
      try await sidecar.waitUntilReady(within: .seconds(60))
      expectNothing(of: try await everything(of: sidecar), way.name)
      // From here on every login fails.
      try await pg.sql("alter role \(user) password 'another'")
      let failing = await eventually(within: .seconds(60)) {
        try await sidecar.lastLoginFault()["sqlstate"].string == "28P01"
      }
      #expect(failing, "\(way.name)")
      expectNothing(of: try await everything(of: sidecar), way.name)
      #expect(await sidecar.terminate() == .exited(0), "\(way.name)")
      expectNothing(of: [sidecar.process.logText], way.name)
    }
    let failed = try await run([ServedProcess.executable, "check"] + way.flags, environment: environment)
    #expect(failed.status == .exited(1), "\(way.name): \(failed.output)")
    expectNothing(of: [failed.output, failed.errors], way.name)
  }

  /// Words with something between them that ends a part of a URL or keyword string, or could.
  private static let broken: [String] = [
    "hunter2@zebra@kiwi", "hunter2/zebra@kiwi", "hunter2?zebra=kiwi@plum", "hunter2?zebra@kiwi@plum",
    "hunter2&zebra=kiwi", "'hunter2 zebra", "hunter2 zebra=kiwi", "hunter2%zz@zebra", "hunter2://zebra",
    "\u{301}hunter2", "hunter2\u{301}zebra", Hostile.password,
  ]
  private static let characters: [String] = #"@:/ '"\%?#[]&=;,+$!|<>{}()^`~*"#.map { "hunter2\($0)zebra" }

  @Test("a password pasted raw into a URL is used or refused in one line, and shown by nothing")
  func raw() async throws {
    // Nothing listens there: the resolver and libpq are all that gets to see a URL that is taken wrongly.
    let port = freePort()
    let usual = (Self.characters + Self.broken).flatMap { password in
      [
        "postgresql://app:\(password)@127.0.0.1:\(port)/shop?application_name=x",
        "postgresql://app@127.0.0.1:\(port)/shop?password=\(password)",
        "host=127.0.0.1 port=\(port) password=\(password) user=app",
        "host=127.0.0.1 port=\(port) user=app password='\(password)'",
      ]
    }
    let odd = Self.broken.flatMap { password in
      [
        "app:\(password)@127.0.0.1:\(port)/shop", "postgresql:/app:\(password)@127.0.0.1:\(port)/shop",
        "jdbc:postgresql://127.0.0.1:\(port)/shop?user=app&password=\(password)",
        "Host=127.0.0.1;Port=\(port);Username=app;Password=\(password)",
        "dbname=postgresql://app:\(password)@127.0.0.1:\(port)/shop",
      ]
    }
    for url in usual + odd { try await expectNothing(ofRaw: url, port) }
  }

  private func expectNothing(ofRaw url: String, _ port: Int) async throws {
    let environment = cleanEnvironment(adding: ["DATABASE_URL": url])
    let report = try await run(
      [ServedProcess.executable, "serve", "--print-settings", "--json"], environment: environment)
    #expect(report.status == .exited(0), "\(url)")
    expectNothing(of: [report.output, report.errors], "--print-settings \(url)")
    let check = try await run([ServedProcess.executable, "check"], environment: environment)
    #expect([.exited(1), .exited(2)].contains(check.status), "\(url): \(check.status)")
    if check.status == .exited(2) {
      #expect(check.errors.hasPrefix("warmgate: DATABASE_URL: "), "\(url): \(check.errors)")
      #expect(check.errors.count { $0.isNewline } == 1, "\(url): \(check.errors)")
    } else {
      // It was taken as it was meant.
      #expect(check.output.contains("on 127.0.0.1:\(port) as app"), "\(url): \(check.output)")
    }
    expectNothing(of: [check.output, check.errors], "check \(url)")
  }

  @Test("a URL where another word is expected is shown without its password")
  func misplaced() async throws {
    let url = "postgresql://app:hunter2@db/app"
    for words in [
      [url], ["serve", url], ["serve", "--listen", url], ["serve", "--admin-listen", url],
      ["serve", "--password-file", url],
      ["serve", "--admin-token-file", url], ["serve", "--min-connections", url],
      ["serve", "--probe-interval", url],
      ["serve", "--require-role", url], ["serve", "--when-database-lost", url],
      ["serve", "--drain-marker", url],
      ["serve", "--application-name", url], ["serve", "--log-format", url],
      ["serve", "--databse-url=\(url)"],
      ["serve", "--\(url)"], ["-\(url)"], ["probe", url], ["probe", "ready", "--url", url],
      ["wait", "--url", url],
      ["wait", "--timeout", url], ["drain", "--url", url], ["drain", "--token-file", url], ["help", url],
      ["wait", "--url", "http://app:hunter2@127.0.0.1:1/"],
    ] {
      let result = try await run([ServedProcess.executable] + words)
      #expect(result.status == .exited(2), "\(words): \(result.errors)")
      #expect(result.errors.count { $0.isNewline } == 1, "\(words): \(result.errors)")
      expectNothing(of: [result.output, result.errors], "\(words)")
    }
  }
}
