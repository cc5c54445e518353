import Foundation

extension TestPostgres {
  /// Throws the data of a server that does not run away and makes a cluster anew, with a system identifier of its own.
  /// All other servers of a test process are copies of one cluster, and share its.
  public func reinitialise() async throws {
    try await blocking {
      if self.isRunning { throw FixtureError("the server runs") }
      try? FileManager.default.removeItem(atPath: self.dataDirectory)
      try Template.makeCluster(self.dataDirectory, in: self.directory)
    }
  }

  /// What `initdb` named the cluster.
  public func systemIdentifier() async throws -> String {
    try await sql("select system_identifier from pg_control_system()")
  }
}

/// An address that can be led to another server while it is in use: a Unix socket's path, and a link to the server's.
public final class MovableAddress: Sendable {
  private static let port = 5432
  private let directory: TemporaryDirectory

  public init(to server: TestPostgres) throws {
    directory = try TemporaryDirectory()
    try lead(to: server)
  }

  /// As superuser, without a password.
  public var url: String {
    "postgresql://postgres@\(directory.path.replacingOccurrences(of: "/", with: "%2F")):\(Self.port)/postgres"
  }

  /// Logins from now on end up at this server, or are refused if it is nil; sessions stay where they are.
  public func lead(to server: TestPostgres?) throws {
    let link = directory.file(".s.PGSQL.\(Self.port)")
    try? FileManager.default.removeItem(atPath: link)
    guard let server else { return }
    try FileManager.default.createSymbolicLink(
      atPath: link, withDestinationPath: "\(server.socketDirectory)/.s.PGSQL.\(server.port)")
  }
}
