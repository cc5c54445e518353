import Foundation
import Health
import Testing

@testable import warmgate

@Suite struct ReadmeTests {
  @Test(
    "README.md holds the tables that `warmgate help` prints with --markdown, between their markers",
    arguments: ["settings": SettingsTable.markdown, "metrics": MetricsReference.markdown])
  func tables(name: String, expected: String) throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    let text = try String(contentsOf: root.appendingPathComponent("README.md"), encoding: .utf8)
    let begin = try #require(text.range(of: "<!-- \(name) -->"), "README.md has no <!-- \(name) -->")
    let end = try #require(text.range(of: "<!-- /\(name) -->"), "README.md has no <!-- /\(name) -->")
    let table = text[begin.upperBound..<end.lowerBound].trimmingCharacters(in: .whitespacesAndNewlines)
    #expect(table == expected.trimmingCharacters(in: .whitespacesAndNewlines))
  }

  @Test("the table has a row for every setting, and a pipe in a cell does not end it")
  func rows() {
    let rows = SettingsTable.markdown.split(separator: "\n").filter { $0.hasPrefix("| `--") }
    #expect(rows.count == SettingsTable.all.count)
    for row in rows {
      let cells = row.replacingOccurrences(of: "\\|", with: "").split(separator: "|")
      #expect(cells.count == 3, "\(row)")
    }
    #expect(SettingsTable.markdown.contains("`--require-role any\\|primary\\|standby`"))
  }
}
