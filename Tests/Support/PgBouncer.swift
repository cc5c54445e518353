import Foundation

/// A PgBouncer of a test's own on 127.0.0.1, in front of a `TestPostgres`: a pooler that gives each transaction to
/// another of its sessions at the server, in turn.
public final class PgBouncer: Sendable {
  public let port: Int
  private let directory: TemporaryDirectory
  private let process: BackgroundProgram

  private static let program = "/usr/sbin/pgbouncer"

  /// Starts it with `sessions` at the server, and returns when it listens. Anybody may log in, and is `postgres`.
  public static func started(before server: TestPostgres, sessions: Int) async throws -> PgBouncer {
    let pooler = try PgBouncer(before: server, sessions: sessions)
    guard
      await eventually(
        within: .seconds(20),
        {
          try await runChecked(["bash", "-c", pooler.isListening]); return true
        })
    else { throw FixtureError("PgBouncer does not listen:\n\(pooler.log)") }
    return pooler
  }

  private init(before server: TestPostgres, sessions: Int) throws {
    guard FileManager.default.isExecutableFile(atPath: Self.program) else {
      throw FixtureError("no PgBouncer found: apt-get install pgbouncer")
    }
    directory = try TemporaryDirectory()
    port = freePort()
    let settings = try directory.write(
      "pgbouncer.ini",
      """
      [databases]
      postgres = host=\(server.socketDirectory) port=\(server.port) user=postgres
      [pgbouncer]
      listen_addr = 127.0.0.1
      listen_port = \(port)
      unix_socket_dir =
      auth_type = any
      pool_mode = transaction
      default_pool_size = \(sessions)
      min_pool_size = \(sessions)
      server_round_robin = 1
      """)
    server.installation.giveAway(directory.path)
    server.installation.giveAway(settings)
    process = try BackgroundProgram(
      server.installation.asServerUser + [Self.program, settings], log: directory.file("log"))
  }

  deinit {
    process.kill()
    directory.remove()
  }

  private var isListening: String { "exec 3<>/dev/tcp/127.0.0.1/\(port)" }

  public var log: String { process.log }

  public var url: String { "postgresql://postgres@127.0.0.1:\(port)/postgres" }

  /// Ends it, and with it every session.
  public func stop() { process.kill() }
}
