extension Command {
  static let serve = Command(
    name: "serve", summary: "the sidecar: warms the pool, answers health questions, drains",
    takesSettings: true,
    options: [
      Option(name: "print-settings", meaning: "prints all settings in force, each with its source, and ends"),
      Option(name: "check-settings", meaning: "reads settings and files, starts nothing, and ends"),
      Option(name: "json", meaning: "with --print-settings: as JSON"),
    ],
    exits: [(0, "stopped as asked to (SIGTERM, SIGINT), or a check that found nothing")]
  ) { invocation throws(UsageError) in
    try invocation.expectOperands(atMost: 0)
    let arguments = invocation.arguments
    let (settings, warnings) = try ServeSettings.load(arguments, environment: invocation.environment)
    let isReport = arguments.has("print-settings") || arguments.has("check-settings")
    // A running sidecar's standard error is its log, in the form that was asked for.
    let log = Log(settings)
    for warning in warnings {
      if isReport { invocation.console.complain("warning: \(warning)") } else { log.warn(warning) }
    }
    if arguments.has("print-settings") {
      invocation.console.print(
        arguments.has("json") ? settings.reportJSON.text : String(settings.report.dropLast()))
      return 0
    }
    if arguments.has("json") { throw UsageError("--json goes with --print-settings") }
    try settings.checkFiles()
    if arguments.has("check-settings") {
      _ = try settings.database(applicationName: settings.applicationName)
      return 0
    }
    return try warmgate.serve(settings, environment: invocation.environment)
  }
}
