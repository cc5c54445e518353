import Foundation
import Support

/// Many `warmgate serve` processes before one server.
struct ServedFleet: Sendable {
  struct Instance: Sendable {
    let process: ServedProcess
    let health: HTTPProbe

    /// The first line of `/ready`; nil while nothing answers.
    func verdict() async -> String? {
      let answer = try? await health.request("GET", "/ready", within: .seconds(5))
      return answer.map { $0.body.split(separator: "\n").first.map(String.init) ?? "" }
    }
  }

  private(set) var instances: [Instance] = []

  /// Starts so many more, all at once.
  mutating func start(_ count: Int, url: String, min: Int, max: Int, flags: [String] = []) throws {
    for _ in 0..<count {
      let (health, admin) = (freePort(), freePort())
      let process = try ServedProcess(
        [
          "serve", "--listen", "127.0.0.1:\(health)", "--admin-listen", "127.0.0.1:\(admin)", "--log-format",
          "json", "--database-url", url, "--min-connections", "\(min)", "--max-connections", "\(max)",
        ] + flags)
      instances.append(Instance(process: process, health: HTTPProbe(.tcp("127.0.0.1", health))))
    }
  }

  /// What each says now, one after the other: asking is not what is measured.
  func verdicts() async -> [String] {
    var verdicts: [String] = []
    for instance in instances { verdicts.append(await instance.verdict() ?? "nothing listens") }
    return verdicts
  }

  func ready() async -> Int { await verdicts().count { $0 == "ready" } }

  /// When so many said that they were ready, by their own logs; nil if they did not in time.
  func becomeReady(_ count: Int, within limit: Duration) async -> Bool {
    await eventually(within: limit, every: .milliseconds(200)) { await ready() >= count }
  }

  /// Ends the last `count` of them, without a drain.
  mutating func kill(_ count: Int) async {
    for instance in instances.suffix(count) { await instance.process.kill() }
    instances.removeLast(min(count, instances.count))
  }

  func close() async { for instance in instances { await instance.process.kill() } }
}

/// Runs `body` with an empty fleet, and ends its processes whatever happens.
func withFleet<Result>(_ body: (inout ServedFleet) async throws -> Result) async throws -> Result {
  var fleet = ServedFleet()
  do {
    let result = try await body(&fleet)
    await fleet.close()
    return result
  } catch {
    await fleet.close()
    throw error
  }
}
