import Health

/// The texts of `warmgate help`, made of the tables of commands and settings.
enum Help {
  static var overview: String {
    let width = Command.all.map { usage($0).count }.max() ?? 0
    let commands = Command.all.map { "  \(usage($0).padded(to: width))  \($0.summary)" }
    return """
      Warmgate stands between a service and its traffic: it warms a pool of PostgreSQL connections and answers
      readiness over HTTP only when the database can really be reached.

      Commands:
      \(commands.joined(separator: "\n"))

      "warmgate help COMMAND" tells more, "warmgate help metrics" what /metrics says. Bad options and values end every command with exit code 2.
      """
  }

  static func text(for command: Command) -> String {
    var text =
      "Usage: warmgate \(usage(command))\(hasOptions(command) ? " [OPTION…]" : "")\n\n\(command.summary)\n"
    if !command.details.isEmpty { text += "\n\(wrapped(command.details, indent: 0))\n" }
    if !command.fileLines.isEmpty {
      text += "\nLines of a file:\n" + command.fileLines.map { "  \($0)\n" }.joined()
    }
    if !command.options.isEmpty {
      let rows = command.options.map { (left: $0.usage, right: $0.meaning) }
      text += "\nOptions:\n" + table(rows)
    }
    if command.takesSettings { text += settings }
    let exits = (command.exits + [(UsageError.exitCode, "a bad option or value")]).sorted {
      $0.code < $1.code
    }
    return text + "\nExit codes:\n" + table(exits.map { (String($0.code), $0.meaning) }).dropLast()
  }

  private static func usage(_ command: Command) -> String {
    command.operands.isEmpty ? command.name : "\(command.name) \(command.operands)"
  }

  private static func hasOptions(_ command: Command) -> Bool {
    command.takesSettings || !command.options.isEmpty
  }

  private static var settings: String {
    let groups = Setting.Group.allCases.map { group in
      "\n\(group.rawValue):\n"
        + SettingsTable.all.filter { $0.group == group }.map { setting in
          "  \(setting.usage)   (default: \(setting.defaultText))\n"
            + wrapped(setting.meaning, indent: 6) + "\n"
        }.joined()
    }
    return "\nSettings, each also as a variable, --probe-query as WARMGATE_PROBE_QUERY. A flag wins.\n"
      + "A duration is a whole number and a unit: 250ms, 5s, 2m, 1h.\n" + groups.joined()
  }

  /// What `/metrics` tells.
  static var metrics: String {
    "Metrics, at /metrics of --listen: Prometheus text, or OpenMetrics for who asks for it.\n"
      + MetricsReference.rows.map { row in
        "\n  \(row.title)  (\(row.kind))\n\(wrapped(row.meaning, indent: 6))\n"
      }.joined()
  }

  private static func table(_ rows: [(left: String, right: String)]) -> String {
    let width = min(rows.map(\.left.count).max() ?? 0, 30)
    return rows.map { row in
      let text = wrapped(row.right, indent: width + 4).drop { $0 == " " }
      return "  \(row.left.padded(to: width))  \(text)\n"
    }.joined()
  }

  /// In lines of at most 100 columns.
  private static func wrapped(_ text: String, indent: Int) -> String {
    let margin = String(repeating: " ", count: indent)
    var lines: [String] = []
    var line = margin
    for word in text.split(separator: " ") {
      if line.count > indent, line.count + 1 + word.count > 100 {
        lines.append(line)
        line = margin
      }
      line += (line.count > indent ? " " : "") + word
    }
    return (lines + [line]).joined(separator: "\n")
  }
}
