import PoolCore

extension Command {
  static let drain = Command(
    name: "drain", summary: "takes a running sidecar out of traffic, waits, and prints the counts",
    details: "The sidecar stays up, unready, until it is stopped or resumed.",
    options: [
      .url(.admin), .tokenFile,
      Option(
        name: "timeout", placeholder: "DURATION",
        meaning: "until leases are cut off (default: the sidecar's --drain-timeout)"),
      Option(name: "no-wait", meaning: "returns when the drain has begun"),
      .json,
    ],
    exits: [
      (0, "every lease has finished"),
      (1, "the deadline cut some off, or the drain was refused or taken back"),
      (3, "nothing listens there"),
    ]
  ) { invocation throws(UsageError) in
    let timeout = try invocation.duration("timeout")
    var parameters = timeout.map { ["timeout=\($0.settingText)"] } ?? []
    let waits = !invocation.arguments.has("no-wait")
    if !waits { parameters.append("wait=0") }
    // The sidecar keeps its own deadline; ours is only for one that no longer answers.
    let limit: Duration? = waits ? timeout.map { $0 + .seconds(10) } : .seconds(5)
    let query = parameters.isEmpty ? "" : "?" + parameters.joined(separator: "&")
    return try AdminCall(path: "/drain" + query, doing: "draining", within: limit).run(invocation)
  }

  static let resume = Command(
    name: "resume", summary: "takes a drain back: the pool is warmed again",
    details: "Refused once the sidecar has been told to stop (SIGTERM).",
    options: [.url(.admin), .tokenFile, .json],
    exits: [(0, "done"), (1, "refused"), (3, "nothing listens there")]
  ) { invocation throws(UsageError) in
    try AdminCall(path: "/resume", doing: "resuming", within: .seconds(10)).run(invocation)
  }
}

/// One POST to the admin address, and what its answer means to a script.
private struct AdminCall {
  let path: String
  /// For the line of progress.
  let doing: String
  let within: Duration?

  func run(_ invocation: Command.Invocation) throws(UsageError) -> Int32 {
    try invocation.expectOperands(atMost: 0)
    let console = invocation.console
    let isJSON = invocation.arguments.has("json")
    let client = try invocation.client(.admin)
    var headers = try authorization(invocation)
    if isJSON { headers.append(("Accept", "application/json")) }
    let start = Moment.now()
    do {
      let answer = try client.ask("POST", path, headers: headers, within: within) {
        console.progress("\(doing) \((Moment.now() - start).inTenths)")
      }
      console.progress("")
      if (200..<300).contains(answer.status) {
        console.print(isJSON ? answer.jsonLine : answer.firstLine)
        return answer.wasCut ? 1 : 0
      }
      if isJSON { console.print(answer.jsonLine) }
      console.complain(refusal(answer, client.address))
      return 1
    } catch {
      console.progress("")
      if isJSON { console.print(error.json) }
      console.complain(error.text)
      return error.exitCode
    }
  }

  private func refusal(_ answer: HTTPResponse, _ address: SidecarAddress) -> String {
    switch answer.status {
    case 401, 403, 409: "refused (\(answer.status)): \(answer.firstLine)"
    default: address.unexpected(answer)
    }
  }

  private func authorization(
    _ invocation: Command.Invocation
  ) throws(UsageError) -> [(name: String, value: String)] {
    let variable = "WARMGATE_ADMIN_TOKEN_FILE"
    let given = invocation.arguments.value("token-file")
    guard let path = given ?? invocation.environment[variable], !path.isEmpty else { return [] }
    let name = "\(given == nil ? variable : "--token-file") \(path.quoted)"
    do {
      return [("Authorization", "Bearer \(try TokenFile.read(path))")]
    } catch {
      throw UsageError("\(name): \(error.description)")
    }
  }
}

extension HTTPResponse {
  /// A drain's answer counts leases that the deadline cut off: `…, 2 cut off, …`, or `"cut":2`.
  var wasCut: Bool {
    if let count = body.firstRange(of: "\"cut\":") {
      return body[count.upperBound...].first.map { ("1"..."9").contains($0) } ?? false
    }
    guard let words = body.firstRange(of: " cut off") else { return false }
    return body[..<words.lowerBound].reversed().prefix { $0.isNumber }.contains { $0 != "0" }
  }
}
