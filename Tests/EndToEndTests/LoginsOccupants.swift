import Foundation
import Support
import Synchronization

/// Sessions of others that take a server's connection slots: `psql`s that sleep. They go with this object.
final class Occupants: Sendable {
  private let sessions = Mutex<[ChildProcess]>([])
  private static let name = "occupant"

  /// Takes `count` slots as `user`; returns when all of them are taken. It tries again where somebody was faster.
  func take(_ count: Int, at pg: TestPostgres, user: String) async throws {
    let full = await eventually(within: .seconds(30), every: .milliseconds(100)) {
      try sessions.withLock { sessions in
        sessions.removeAll { !$0.isRunning }
        while sessions.count < count { sessions.append(try start(at: pg, user)) }
      }
      return try await pg.sessions(like: Self.name) == count
    }
    guard full else { throw FixtureError("the server cannot be filled with \(count) sessions") }
  }

  /// Gives them back.
  func leave(_ pg: TestPostgres) async throws {
    sessions.withLock { $0 = [] }
    try await pg.terminateBackends(applicationNameLike: Self.name)
  }

  private func start(at pg: TestPostgres, _ user: String) throws -> ChildProcess {
    let null = open("/dev/null", O_RDWR | O_CLOEXEC)
    defer { close(null) }
    return try ChildProcess(
      ["psql", "-X", "-q", "-d", pg.unixURL(user: user), "-c", "select pg_sleep(300)"],
      environment: cleanEnvironment(adding: ["PGAPPNAME": Self.name]), input: null, output: null, errors: null
    )
  }
}
