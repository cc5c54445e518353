import Foundation
import Support
import Testing

extension RunningSidecar {
  /// The verdict of `/ready` as JSON.
  func verdict() async throws -> JSONValue { try JSONValue(try await ready("?format=json").body) }

  /// What `/status` says of the last failed login.
  func lastLoginFault() async throws -> JSONValue { try await status()["login"]["last_fault"] }

  /// Alive, started by nobody yet, and not ready for a reason that holds `words`.
  func expectNotReady(
    because words: String, within limit: Duration = .seconds(20),
    sourceLocation: SourceLocation = #_sourceLocation
  ) async throws {
    let answer = try await waitUntil(503, within: limit) { $0.firstLine.contains(words) }
    #expect(answer.firstLine.hasPrefix("not ready: "), sourceLocation: sourceLocation)
    #expect(try await live().status == 200, sourceLocation: sourceLocation)
    #expect(try await startup().status == 503, sourceLocation: sourceLocation)
  }

  /// SIGTERM ends it within a second, with exit code 0.
  func expectEndWithinASecond(sourceLocation: SourceLocation = #_sourceLocation) async {
    let began = ContinuousClock.now
    process.terminate()
    let status = await process.exit(within: .seconds(20))
    let took = ContinuousClock.now - began
    #expect(status == .exited(0), sourceLocation: sourceLocation)
    #expect(took < .seconds(1), sourceLocation: sourceLocation)
  }

  /// Its threads that carry a login, stuck ones included.
  var loginThreads: Int {
    let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(process.pid)/task")) ?? []
    return tasks.count { task in
      (try? String(contentsOfFile: "/proc/\(process.pid)/task/\(task)/comm", encoding: .utf8)) == "login\n"
    }
  }
}

/// What `warmgate check` finds: the step that fails, and what to do about it.
func expectCheck(
  _ flags: [String], url: String, namespace: String? = nil, toFailAt step: String, advising advice: String,
  sourceLocation: SourceLocation = #_sourceLocation
) async throws {
  let place = namespace.map { ["ip", "netns", "exec", $0] } ?? []
  let result = try await run(
    place + [ServedProcess.executable, "check", "--json", "--database-url", url] + flags, within: .seconds(30)
  )
  #expect(result.status == .exited(1), "\(result.output)", sourceLocation: sourceLocation)
  let report = try JSONValue(result.output)
  #expect(report["ok"].bool == false, sourceLocation: sourceLocation)
  #expect(report["failed"].string == step, "\(result.output)", sourceLocation: sourceLocation)
  let given = report["advice"].string
  #expect(given?.hasPrefix(advice) == true, "\(result.output)", sourceLocation: sourceLocation)
}

/// Runs `body` with a network path of its own, and removes it afterwards.
func withNetworkPath<Result>(_ body: (NetworkPath) async throws -> Result) async throws -> Result {
  let path = try await NetworkPath()
  defer { path.remove() }
  return try await body(path)
}

/// Runs `body` with a network path and a PostgreSQL at its far end.
func withRemotePostgres<Result>(
  _ settings: [String: String] = [:], _ body: (NetworkPath, TestPostgres) async throws -> Result
) async throws -> Result {
  try await withNetworkPath { path in
    try await withPostgres(settings, namespace: path.server, address: NetworkPath.serverAddress) {
      try await body(path, $0)
    }
  }
}
