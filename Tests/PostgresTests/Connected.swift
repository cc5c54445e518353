import EventLoop
import Support

@testable import Postgres

/// A connection over the Unix socket, or where `url` leads, to a server of its own.
func withConnection(
  _ url: (TestPostgres) -> String = { $0.unixURL }, _ body: (Connection, TestPostgres) async throws -> Void
) async throws {
  try await withPostgres { server in
    try await withLoop { loop in
      let connection = try await connector(url(server), on: loop).login()
      try await body(connection, server)
      await connection.close()
    }
  }
}

/// What a statement that has to fail throws.
func failure(
  of connection: Connection, _ sql: String, _ parameters: [Parameter] = [], timeout: Duration? = nil
) async -> QueryError? {
  do throws(QueryError) {
    _ = try await connection.query(sql, parameters, timeout: timeout)
    return nil
  } catch { return error }
}
