import Foundation
import Support
import Synchronization

/// One machine of a service, as `examples/app/README.md` sets it up: the example application, and Warmgate beside it,
/// on an address of its own.
final class Machine: Sendable {
  /// On every machine the same, as in the examples.
  struct Ports: Sendable {
    let app = freePort()
    let health = freePort()
    let admin = freePort()
    let agent = freePort()
  }

  /// 127.0.0.11 for `shop1`, and so on.
  let name: String
  let address: String
  private let ports: Ports
  private let hasWarmgate: Bool
  private let directory: TemporaryDirectory
  private let running = Mutex<(application: BackgroundProgram?, warmgate: ServedProcess?)>((nil, nil))

  private static let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()
  static func file(_ path: String) -> String { repository.appendingPathComponent(path).path }
  /// With the application's packages: `scripts/test deploy` puts them there.
  static let python = file(".build/app-python/bin/python")

  init(_ number: Int, _ ports: Ports, hasWarmgate: Bool) throws {
    (name, address) = ("shop\(number)", "127.0.0.1\(number)")
    (self.ports, self.hasWarmgate) = (ports, hasWarmgate)
    directory = try TemporaryDirectory()
  }

  deinit { directory.remove() }

  /// What the README has in a file of variables.
  private func environment(_ url: String) -> [String: String] {
    [
      "DATABASE_URL": url,
      "WARMGATE_LISTEN": "\(address):\(ports.health)", "WARMGATE_ADMIN_LISTEN": "\(address):\(ports.admin)",
      "WARMGATE_AGENT_LISTEN": "\(address):\(ports.agent)",
      "WARMGATE_MIN_CONNECTIONS": "2", "WARMGATE_MAX_CONNECTIONS": "3",
      "WARMGATE_WHEN_DATABASE_LOST": "hold=30s",
    ]
  }

  /// Starts both, the application once the way to the database is open. Throws if that takes too long; Warmgate runs on.
  func start(version: String, url: String, patience: Duration = .seconds(120)) async throws {
    let environment = environment(url)
    if hasWarmgate {
      let warmgate = try ServedProcess(["serve", "--log-format", "json"], environment: environment)
      running.withLock { $0.warmgate = warmgate }
      let wait = [ServedProcess.executable, "wait", "--timeout", "\(patience.components.seconds)s"]
      try await runChecked(wait, environment: cleanEnvironment(adding: environment), within: .seconds(150))
    }
    let application = try BackgroundProgram(
      [
        "env", "DATABASE_URL=\(url)", "LISTEN=\(address):\(ports.app)", "VERSION=\(version)", Self.python,
        Self.file("examples/app/shop.py"),
      ], log: directory.file("log"))
    running.withLock { $0.application = application }
  }

  /// Whether it may be sent users, as far as it can say itself.
  func isServing() async -> Bool {
    if hasWarmgate {
      guard let ready = try? await HTTPProbe(.tcp(address, ports.health)).request("GET", "/ready"),
        ready.status == 200
      else { return false }
    }
    let app = HTTPProbe(.tcp(address, ports.app))
    return (try? await app.request("GET", "/healthz").status) == 200
  }

  /// As the README says: drains, then ends the application, then Warmgate.
  func stop() async throws {
    let (application, served) = running.withLock { $0 }
    if served != nil { try await warmgate("drain") }
    if let application {
      application.signal(SIGTERM)
      guard await eventually(within: .seconds(40), { !application.isRunning }) else {
        throw FixtureError("\(name) does not end:\n\(log)")
      }
    }
    if let served {
      served.terminate()
      let status = await served.exit(within: .seconds(40))
      guard status == .exited(0) else {
        throw FixtureError("\(name): \(status.map { "\($0)" } ?? "no end"):\n\(log)")
      }
    }
    running.withLock { $0 = (nil, nil) }
  }

  /// `warmgate drain` or the like, with this machine's variables.
  func warmgate(_ command: String) async throws {
    try await runChecked(
      [ServedProcess.executable, command], environment: cleanEnvironment(adding: environment("")))
  }

  func kill() async {
    let (application, warmgate) = running.withLock { $0 }
    application?.kill()
    await warmgate?.kill()
  }

  var log: String {
    let (application, warmgate) = running.withLock { $0 }
    return "\(application?.log ?? "")\n\(warmgate?.logText ?? "")"
  }
}
