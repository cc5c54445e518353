extension SettingsTable {
  /// The table for the README, one part per group.
  static var markdown: String {
    Setting.Group.allCases.map { group in
      let rows = all.filter { $0.group == group }.map { setting in
        "| `\(setting.usage)` | \(setting.defaultText) | \(setting.meaning) |"
          .escapingInnerPipes
      }
      return "**\(group.rawValue)**\n\n| flag | default | meaning |\n|---|---|---|\n"
        + rows.joined(separator: "\n") + "\n"
    }.joined(separator: "\n")
  }
}

extension String {
  /// A pipe inside a cell needs a backslash, also within code (GitHub Flavored Markdown, "Tables"). Those that
  /// separate cells have a space on a side.
  fileprivate var escapingInnerPipes: String {
    var text = ""
    var previous: Character = " "
    for (index, character) in zip(indices, self) {
      let next = self.index(after: index) < endIndex ? self[self.index(after: index)] : " "
      text += character == "|" && previous != " " && next != " " ? "\\|" : String(character)
      previous = character
    }
    return text
  }
}
