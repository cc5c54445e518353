import Foundation

/// An HAProxy of a test's own, which shows what it makes of its servers.
public final class HAProxy: Sendable {
  private let directory: TemporaryDirectory
  private let process: BackgroundProgram

  private static let program = "/usr/sbin/haproxy"

  /// What HAProxy's `show stat` says of one server.
  public struct Server: Hashable, Sendable {
    /// `UP`, `DOWN (agent)`, `DRAIN (agent)` and so on.
    public let status: String
    public let weight: Int
    /// What came of the last agent check, with the agent's reason.
    public let agent: String
  }

  /// Starts it with these `backend` sections, and returns when it answers on its stats socket.
  public static func started(_ backends: String) async throws -> HAProxy {
    try await started(
      configuration: """
        global
        defaults
          mode http
          timeout connect 5s
          timeout client 30s
          timeout server 30s
          timeout check 5s
        \(backends)

        """)
  }

  /// The same with a whole file, whose `global` section has a line of its own.
  public static func started(configuration: String) async throws -> HAProxy {
    let proxy = try HAProxy(configuration)
    guard await eventually(within: .seconds(20), { try proxy.command("show info").contains("Version: ") })
    else {
      throw FixtureError("HAProxy does not answer:\n\(proxy.log)")
    }
    return proxy
  }

  private init(_ configuration: String) throws {
    guard FileManager.default.isExecutableFile(atPath: Self.program) else {
      throw FixtureError("no HAProxy found: apt-get install haproxy")
    }
    directory = try TemporaryDirectory()
    let socket = "global\n  stats socket \(directory.file("socket")) level admin\n"
    guard let global = configuration.firstRange(of: "global\n") else {
      throw FixtureError("a configuration of HAProxy without a global section")
    }
    let settings = try directory.write(
      "haproxy.cfg", configuration.replacingCharacters(in: global, with: socket))
    process = try BackgroundProgram([Self.program, "-f", settings, "-db"], log: directory.file("log"))
  }

  deinit { close() }

  /// Ends it. A second call does nothing.
  public func close() {
    process.kill()
    directory.remove()
  }

  public var log: String { process.log }

  /// The answer to a command of its runtime API.
  public func command(_ text: String) throws -> String {
    let deadline = ContinuousClock.now + .seconds(10)
    let socket = try ClientSocket(.unix(directory.file("socket")), deadline: deadline)
    try socket.send(Array("\(text)\n".utf8), deadline: deadline)
    var answer: [UInt8] = []
    while let bytes = socket.receive(deadline: deadline), !bytes.isEmpty { answer += bytes }
    return String(decoding: answer, as: UTF8.self)
  }

  /// What it makes of a server at this moment.
  public func server(_ name: String, of backend: String) throws -> Server {
    // One line for each field: `S.<proxy>.<server>.<position>.<field>.<process>:<tags>:<type>:<value>`.
    var servers: [String: [String: String]] = [:]
    for line in try command("show stat typed").split(separator: "\n") {
      let parts = line.split(separator: ":", maxSplits: 3, omittingEmptySubsequences: false)
      let place = parts[0].split(separator: ".")
      guard parts.count == 4, place.count == 6 else { continue }
      servers["\(place[1]).\(place[2])", default: [:]][String(place[4])] = String(parts[3])
    }
    guard let found = servers.values.first(where: { $0["pxname"] == backend && $0["svname"] == name }) else {
      throw FixtureError("HAProxy knows no server \(name) of \(backend)")
    }
    return Server(
      status: found["status"] ?? "", weight: Int(found["weight"] ?? "") ?? -1,
      agent: [found["agent_status"], found["agent_desc"], found["last_agt"]].compactMap { $0 }.joined(
        separator: " "))
  }
}
