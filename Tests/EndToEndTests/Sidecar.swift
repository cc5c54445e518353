import Foundation
import Support
import Testing

/// The built `warmgate serve`, listening on ports of its own. Its log is JSON, at level `debug`.
///
/// Prefer `withSidecar`, which also ends it when a test throws.
final class RunningSidecar: Sendable {
  let process: ServedProcess
  let health: HTTPProbe
  let admin: HTTPProbe
  let healthPort: Int
  let adminPort: Int
  /// The `listening` line of its log. From here on no request is refused.
  let listening: ServedProcess.Line

  /// Starts it and returns when it says that it listens. `flags` come after those that are needed here, so they win.
  ///
  /// - Parameters:
  ///   - namespace: the network namespace that it runs in; it is asked from there too.
  ///   - ports: for a test that has to know them before the start; otherwise free ones are taken.
  static func started(
    _ flags: [String] = [], url: String? = nil, environment: [String: String] = [:], namespace: String? = nil,
    wrapper: [String] = [], ports: (health: Int, admin: Int)? = nil, within limit: Duration = .seconds(30)
  ) async throws -> RunningSidecar {
    for attempt in 1... {
      let (health, admin) = ports ?? (freePort(), freePort())
      let process = try ServedProcess(
        [
          "serve", "--listen", "127.0.0.1:\(health)", "--admin-listen", "127.0.0.1:\(admin)",
          "--log-format", "json", "--log-level", "debug",
        ] + (url.map { ["--database-url", $0] } ?? []) + flags,
        environment: environment, namespace: namespace, wrapper: wrapper)
      if let line = await process.logLine(containing: #""message":"listening""#, within: limit) {
        return RunningSidecar(
          process, health: HTTPProbe(.tcp("127.0.0.1", health), namespace: namespace),
          admin: HTTPProbe(.tcp("127.0.0.1", admin), namespace: namespace), ports: (health, admin), line)
      }
      let status = await process.exit(within: .zero)
      await process.kill()
      // Between the choice of a port and its use, somebody else may have taken it.
      if status == .exited(2), ports == nil, attempt < 5, process.logText.contains("in use") { continue }
      throw FixtureError(
        "warmgate does not listen (\(status.map { "\($0)" } ?? "still running")):\n\(process.logText)")
    }
    throw FixtureError("unreachable")
  }

  private init(
    _ process: ServedProcess, health: HTTPProbe, admin: HTTPProbe, ports: (Int, Int),
    _ listening: ServedProcess.Line
  ) {
    self.process = process
    self.health = health
    self.admin = admin
    (healthPort, adminPort) = ports
    self.listening = listening
  }

  // MARK: - Asking it

  func ready(_ query: String = "", within limit: Duration = .seconds(5)) async throws -> HTTPAnswer {
    try await health.request("GET", "/ready\(query)", within: limit)
  }

  func live() async throws -> HTTPAnswer { try await health.request("GET", "/live") }
  func startup() async throws -> HTTPAnswer { try await health.request("GET", "/startup") }
  func status() async throws -> JSONValue { try JSONValue((try await admin.request("GET", "/status")).body) }

  /// A POST to the admin listener, which may wait for long.
  func post(_ path: String, within limit: Duration = .seconds(40)) async throws -> HTTPAnswer {
    try await admin.request("POST", path, within: limit)
  }

  /// Polls `path` from now on; see `Observer`.
  func observer(
    _ path: String = "/ready", every pause: Duration = .milliseconds(20), atHighPriority: Bool = false
  ) -> Observer {
    Observer(health, path, every: pause, atHighPriority: atHighPriority)
  }

  /// The first `/ready` that has this status, and fits if `where` is given; throws with the log if none came in time.
  @discardableResult
  func waitUntil(
    _ status: Int, within limit: Duration = .seconds(20), where fits: (HTTPAnswer) -> Bool = { _ in true }
  ) async throws -> HTTPAnswer {
    var last: HTTPAnswer?
    if await eventually(
      within: limit, every: .milliseconds(10),
      {
        let answer = try await ready()
        last = answer
        return answer.status == status && fits(answer)
      }), let last
    {
      return last
    }
    throw FixtureError(
      "/ready is not \(status) within \(limit), but \(last.map { "\($0.status) \($0.body)" } ?? "no answer"):\n\(process.logText)"
    )
  }

  @discardableResult
  func waitUntilReady(within limit: Duration = .seconds(20)) async throws -> HTTPAnswer {
    try await waitUntil(200, within: limit)
  }

  // MARK: - Its log

  /// Every line so far, parsed; one that is not JSON is an issue of the test.
  var log: [LogEntry] {
    process.log.compactMap { line in
      do { return LogEntry(at: line.at, fields: try JSONValue(line.text)) } catch {
        Issue.record("a log line is not JSON: \(line.text)")
        return nil
      }
    }
  }

  /// The lines with this message.
  func log(_ message: String) -> [LogEntry] { log.filter { $0.message == message } }

  /// The first line that fits; nil if none came in time.
  func logEntry(within limit: Duration = .seconds(10), where fits: (LogEntry) -> Bool) async -> LogEntry? {
    var found: LogEntry?
    _ = await eventually(within: limit, every: .milliseconds(10)) {
      found = log.first(where: fits)
      return found != nil
    }
    return found
  }

  struct LogEntry: Sendable, CustomStringConvertible {
    /// When it was read, a moment after it was written.
    let at: ContinuousClock.Instant
    let fields: JSONValue

    var message: String { fields["message"].string ?? "" }
    var level: String { fields["level"].string ?? "" }
    var state: String? { fields["state"].string }
    var reasons: [String] { fields["reasons"].array.compactMap(\.string) }
    var description: String { fields.description }
    subscript(name: String) -> JSONValue { fields[name] }
  }

  // MARK: - Ending it

  /// SIGTERM, and how it ended; nil if it still runs after that time.
  func terminate(within limit: Duration = .seconds(30)) async -> Support.ExitStatus? {
    process.terminate()
    return await process.exit(within: limit)
  }

  /// Ends it at once if it still runs.
  func close() async { await process.kill() }
}

/// Runs `body` with a sidecar that listens, and ends it afterwards if it still runs. A few tests at a time may.
func withSidecar<Result>(
  _ flags: [String] = [], url: String? = nil, environment: [String: String] = [:], namespace: String? = nil,
  wrapper: [String] = [], _ body: (RunningSidecar) async throws -> Result
) async throws -> Result {
  try await MachineShare.use {
    let sidecar = try await RunningSidecar.started(
      flags, url: url, environment: environment, namespace: namespace, wrapper: wrapper)
    do {
      let result = try await body(sidecar)
      await sidecar.close()
      return result
    } catch {
      await sidecar.close()
      throw error
    }
  }
}

/// Runs `body` with a PostgreSQL of its own and a sidecar that is connected to it over TCP with SCRAM.
func withSidecarAndPostgres<Result>(
  _ flags: [String] = [], postgres settings: [String: String] = [:], wrapper: [String] = [],
  _ body: (RunningSidecar, TestPostgres) async throws -> Result
) async throws -> Result {
  try await withPostgres(settings) { pg in
    try await withSidecar(flags, url: pg.tcpURL(), wrapper: wrapper) { try await body($0, pg) }
  }
}
