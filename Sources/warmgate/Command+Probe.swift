import Health

extension Command {
  static let probe = Command(
    name: "probe", operands: "live|ready|startup",
    summary: "asks a running sidecar once and says why",
    details: "For exec probes: kubectl describe shows the line that it prints.",
    options: [
      .url(.health),
      // Below the second that Kubernetes gives a probe by default, so that the line is seen.
      Option(name: "timeout", placeholder: "DURATION", meaning: "for the answer (default: 900ms)"),
      .json,
    ],
    exits: [(0, "yes"), (1, "no"), (3, "nothing listens there")]
  ) { invocation throws(UsageError) in
    let questions = ["live", "ready", "startup"]
    guard let question = invocation.arguments.operands.first else {
      throw UsageError("probe needs to know what to ask: live, ready or startup")
    }
    guard questions.contains(question) else {
      let meant = nearest(to: question, among: questions).map { "; did you mean \($0)?" } ?? ""
      throw UsageError("probe \(question.quoted): give live, ready or startup\(meant)")
    }
    try invocation.expectOperands(atMost: 1)
    let timeout = try invocation.duration("timeout") ?? .milliseconds(900)
    let client = try invocation.client(.health)
    let isJSON = invocation.arguments.has("json")
    do throws(HTTPClient.Failure) {
      let answer = try client.ask(
        "GET", "/\(question)", headers: isJSON ? [("Accept", "application/json")] : [], within: timeout)
      switch answer.status {
      case 200, 503: invocation.console.print(isJSON ? answer.jsonLine : answer.firstLine)
      default: throw HTTPClient.Failure.failed(client.address.unexpected(answer))
      }
      return answer.status == 200 ? 0 : 1
    } catch {
      // On standard output, where kubelet looks for the reason first.
      invocation.console.print(isJSON ? error.json : error.text)
      return error.exitCode
    }
  }
}

extension SidecarAddress {
  /// The text about an answer that no sidecar would give.
  func unexpected(_ answer: HTTPResponse) -> String {
    "\(text) answered \(answer.status) \(answer.firstLine.prefix(80)): is that the right address of a sidecar?"
  }
}

extension HTTPResponse {
  /// The body if it is JSON, else its first line in an object.
  var jsonLine: String {
    let isJSON = headers["content-type"].map { $0.lowercased().contains("json") } ?? false
    if isJSON { return String(body.drop(while: \.isWhitespace).prefix { !$0.isNewline }) }
    return JSON.object([.init("status", .int(status)), .init("message", .string(firstLine))]).text
  }
}

extension HTTPClient.Failure {
  var json: String { JSON.object([.init("error", .string(text))]).text }
}
