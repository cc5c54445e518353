import Support

/// Runs the built executable to its end, with nothing in its environment that it would read but `environment`.
func warmgate(
  _ words: String..., environment: [String: String] = [:], within limit: Duration = .seconds(30)
) async throws -> CommandResult {
  try await run(
    [ServedProcess.executable] + words, environment: cleanEnvironment(adding: environment), within: limit)
}
