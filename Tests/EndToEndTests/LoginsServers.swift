import Foundation
import Support

/// Six servers that refuse logins, each in its own way, and say in their logs how often they were asked.
struct LoginsServers: Sendable {
  /// Without TLS. Its roles are `unlucky` (its password is another), `lost` (its database is missing), `locked`
  /// (may not log in).
  let plain: TestPostgres
  /// With a certificate that ended yesterday.
  let expired: TestPostgres
  /// Of the two standbys. Nobody logs in there by himself.
  let primary: TestPostgres
  let hotStandby: TestPostgres
  /// Says 57P03 for ever.
  let coldStandby: TestPostgres
  /// No slot is left for anybody but superusers.
  let full: TestPostgres
  let occupants: Occupants
  let files: TemporaryDirectory

  /// A certificate authority that has signed nothing.
  var strangeAuthority: String { files.file("strange.crt") }

  var all: [TestPostgres] { [plain, expired, primary, hotStandby, coldStandby, full] }

  static func started() async throws -> LoginsServers {
    async let plain = TestPostgres.started()
    async let expired = TestPostgres.started()
    async let full = TestPostgres.started(settings: ["max_connections": "8"])
    let primary = try await TestPostgres.started()
    let hotStandby = try await primary.makeStandby()
    let coldStandby = try await primary.makeStandby(settings: ["hot_standby": "off"])
    let servers = LoginsServers(
      plain: try await plain, expired: try await expired, primary: primary, hotStandby: hotStandby,
      coldStandby: coldStandby, full: try await full, occupants: Occupants(), files: try TemporaryDirectory())
    try await servers.prepare()
    return servers
  }

  private func prepare() async throws {
    try await plain.sql(
      """
      create role unlucky login password 'another';
      create role lost login password 'secret';
      create role locked nologin password 'secret'
      """)
    try await expired.enableTLS(.expired)
    try await runChecked([
      "openssl", "req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=Strange authority", "-newkey", "ec",
      "-pkeyopt", "ec_paramgen_curve:prime256v1", "-keyout", files.file("strange.key"), "-out",
      strangeAuthority,
    ])
    try await full.sql("create role app login password 'secret'")
    // Three of the eight slots are kept for superusers.
    try await occupants.take(5, at: full, user: "app")
  }

  func close() async {
    for server in all { await blocking { server.close() } }
    files.remove()
  }
}

/// A server's log lines of some time.
struct LoginsLog {
  private struct Line {
    let time: Date
    /// `[1234]`
    let process: Substring
    let text: Substring
  }

  private let all: [Line]
  private let lines: [Line]

  init(_ pg: TestPostgres, in time: Range<Date>) {
    all = pg.logText.split(separator: "\n").compactMap { text in
      let words = text.split(separator: " ", maxSplits: 4)
      guard words.count == 5, let time = Self.time("\(words[0])T\(words[1])Z") else { return nil }
      return Line(time: time, process: words[3], text: text)
    }
    lines = all.filter { time.contains($0.time) }
  }

  /// The lines with all of these fragments.
  func count(_ fragments: String...) -> Int {
    lines.count { line in fragments.allSatisfy(line.text.contains) }
  }

  /// The connections of which the log says, then or later, nothing with this fragment.
  func connections(without fragment: String) -> Int {
    let processes = Set(all.filter { $0.text.contains(fragment) }.map(\.process))
    return lines.count { $0.text.contains("connection received") && !processes.contains($0.process) }
  }

  /// As in both logs: `2025-01-31T12:00:00.123Z`.
  static func time(_ text: String) -> Date? {
    try? Date(text, strategy: .iso8601.year().month().day().time(includingFractionalSeconds: true))
  }
}
