import Health

extension Command {
  static let version = Command(
    name: "version", summary: "prints the version", exits: [(0, "always")]
  ) { invocation throws(UsageError) in
    try invocation.expectOperands(atMost: 0)
    invocation.console.print("warmgate \(Warmgate.version)")
    return 0
  }

  static let help = Command(
    name: "help", operands: "[COMMAND|metrics]", summary: "tells about a command, or about each metric",
    options: [
      Option(name: "markdown", meaning: "the table of settings, or of metrics, in Markdown as in the README")
    ],
    exits: [(0, "always")]
  ) { invocation throws(UsageError) in
    try invocation.expectOperands(atMost: 1)
    let name = invocation.arguments.operands.first
    let isMarkdown = invocation.arguments.has("markdown")
    if name == "metrics" {
      let text = isMarkdown ? MetricsReference.markdown : Help.metrics
      invocation.console.print(String(text.dropLast()))
    } else if isMarkdown {
      invocation.console.print(String(SettingsTable.markdown.dropLast()))
    } else if let name {
      invocation.console.print(Help.text(for: try Warmgate.find(name)))
    } else {
      invocation.console.print(Help.overview)
    }
    return 0
  }
}
