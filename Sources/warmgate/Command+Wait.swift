import Health
import PoolCore

extension Command {
  static let wait = Command(
    name: "wait", summary: "blocks until a running sidecar is ready",
    details:
      "A sidecar that does not listen yet is waited for as well. On a terminal it shows what stands in the way.",
    options: [
      .url(.health),
      Option(name: "timeout", placeholder: "DURATION", meaning: "how long to wait (default: 60s)"),
      .json,
    ],
    exits: [(0, "ready"), (1, "not ready in time"), (3, "nothing listens there, to the end")]
  ) { invocation throws(UsageError) in
    try invocation.expectOperands(atMost: 0)
    let timeout = try invocation.duration("timeout") ?? .seconds(60)
    let outcome = Waiting(client: try invocation.client(.health), console: invocation.console).run(timeout)
    invocation.console.progress("")
    if invocation.arguments.has("json") {
      invocation.console.print(outcome.json)
    } else if !outcome.isReady {
      invocation.console.complain("not ready after \(timeout.settingText): \(outcome.obstacle)")
    } else if invocation.console.showsProgress {
      invocation.console.complain("ready after \(outcome.waited.inTenths)")
    }
    return outcome.exitCode
  }
}

/// Asks for readiness again and again.
private struct Waiting {
  let client: HTTPClient
  let console: Console

  struct Outcome {
    var isReady: Bool
    var reason: String
    var waited: Duration
    var exitCode: Int32

    /// The reason without the verdict, which the line says already.
    var obstacle: Substring {
      let verdict = "not ready: "
      return reason.hasPrefix(verdict) ? reason.dropFirst(verdict.count) : reason[...]
    }

    var json: String {
      JSON.object([
        .init("ready", .bool(isReady)), .init("reason", .string(reason)),
        .init("waited_seconds", .seconds(waited)),
      ]).text
    }
  }

  /// For one answer.
  private static let patience: Duration = .seconds(2)

  func run(_ timeout: Duration) -> Outcome {
    let start = Moment.now()
    let deadline = start + timeout
    var pause: Duration = .milliseconds(100)
    // What the sidecar itself said last: more than that its last answer came too late.
    var said: Answer?
    while true {
      // One question may hang; the next, on a new connection, may not.
      let limit = min(max(deadline - Moment.now(), .milliseconds(50)), Self.patience)
      let answer = ask(within: limit)
      let waited = Moment.now() - start
      if answer.isFromSidecar { said = answer }
      if answer.isReady || Moment.now() >= deadline {
        let last = answer.isCutShort ? said ?? answer : answer
        return Outcome(isReady: answer.isReady, reason: last.reason, waited: waited, exitCode: last.exitCode)
      }
      console.progress("\(waited.inTenths)  \(answer.reason)")
      Moment.sleep(min(pause, deadline - Moment.now()))
      pause = min(pause.scaled(by: 1.5), .seconds(1))
    }
  }

  private struct Answer {
    var isReady = false
    var reason: String
    var exitCode: Int32
    var isFromSidecar = true
    /// The sidecar might have said something in time, had the wait not been at its end.
    var isCutShort = false
  }

  private func ask(within limit: Duration) -> Answer {
    do {
      let answer = try client.ask("GET", "/ready", within: limit)
      switch answer.status {
      case 200: return Answer(isReady: true, reason: answer.firstLine, exitCode: 0)
      case 503: return Answer(reason: answer.firstLine, exitCode: 1)
      default: return Answer(reason: client.address.unexpected(answer), exitCode: 1)
      }
    } catch {
      let isCutShort = if case .failed = error { limit < Self.patience } else { false }
      return Answer(
        reason: error.text, exitCode: error.exitCode, isFromSidecar: false, isCutShort: isCutShort)
    }
  }
}
