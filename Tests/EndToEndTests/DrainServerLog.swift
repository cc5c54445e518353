import Foundation
import Support
import Testing

/// How the sessions of a sidecar ended, as the server saw it.
extension TestPostgres {
  /// Expects that `count` sessions of Warmgate have ended, each with a Terminate: the server logs a disconnection for
  /// each, and neither an end of file that it did not expect, nor a reset, nor a FATAL.
  func expectCleanEnds(_ count: Int, sourceLocation: SourceLocation = #_sourceLocation) async {
    let ended = "app=warmgate/[^ ]* state=[^ ]* LOG:  disconnection: session time"
    // The client's close and the server's line about it are not the same moment.
    _ = await eventually { countInLog(matching: ended) >= count }
    #expect(countInLog(matching: ended) == count, "\(logText)", sourceLocation: sourceLocation)
    for broken in [
      "unexpected EOF", "could not receive data from client", "connection to client lost", "FATAL",
    ] {
      #expect(logLines(matching: broken) == [], sourceLocation: sourceLocation)
    }
  }
}

/// Runs a command of the executable under test to its end.
func warmgate(
  _ arguments: String..., environment: [String: String] = [:], within limit: Duration = .seconds(60)
) async throws -> CommandResult {
  try await run(
    [ServedProcess.executable] + arguments, environment: cleanEnvironment(adding: environment), within: limit)
}

extension RunningSidecar {
  /// Waits until its own log tells a state; returns the line.
  @discardableResult
  func waitForState(
    _ state: String, within limit: Duration = .seconds(20), sourceLocation: SourceLocation = #_sourceLocation
  ) async throws -> LogEntry {
    let entry = await logEntry(within: limit) { $0.state == state }
    return try #require(
      entry, "never \(state) within \(limit):\n\(process.logText)", sourceLocation: sourceLocation)
  }

  /// When each state was entered, on one clock (seconds): the log is exact where an observer is not.
  var states: [(state: String, at: Double)] {
    log.compactMap { entry in
      guard let state = entry.state, let at = entry["boottime"].double else { return nil }
      return (state, at)
    }
  }

  func time(of state: String) -> Double? { states.first { $0.state == state }?.at }
}
