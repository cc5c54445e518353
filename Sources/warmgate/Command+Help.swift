extension Command {
  static let version = Command(
    name: "version", summary: "prints the version", exits: [(0, "always")]
  ) { invocation throws(UsageError) in
    try invocation.expectOperands(atMost: 0)
    invocation.console.print("warmgate \(Warmgate.version)")
    return 0
  }

  static let help = Command(
    name: "help", operands: "[COMMAND]", summary: "tells about a command",
    options: [Option(name: "markdown", meaning: "the table of settings in Markdown, as in the README")],
    exits: [(0, "always")]
  ) { invocation throws(UsageError) in
    try invocation.expectOperands(atMost: 1)
    if invocation.arguments.has("markdown") {
      invocation.console.print(String(SettingsTable.markdown.dropLast()))
    } else if let name = invocation.arguments.operands.first {
      invocation.console.print(Help.text(for: try Warmgate.find(name)))
    } else {
      invocation.console.print(Help.overview)
    }
    return 0
  }
}
