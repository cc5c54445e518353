import PoolCore
public import Postgres

/// A connection in a caller's hands, for the time of one `withConnection`. It cannot be copied or kept: letting it
/// escape its scope is a compile error.
///
/// One statement at a time. Session state that a statement leaves behind (`SET`, temporary tables, advisory locks,
/// prepared statements) stays with the connection and is seen by later leases; an open transaction is rolled back.
public struct Lease: ~Copyable {
  let connection: Connection
  let counts: @Sendable () -> PoolCounts

  /// The process at the server, as in `pg_stat_activity.pid`.
  public var backendPID: Int32 { connection.backendPID }

  /// Runs one statement. Parameters are `$1`, `$2`, …
  ///
  /// Throws a `PoolError` of kind `.query`. After an error of the database's own (a constraint, a syntax error) the
  /// lease can be used on; after a lost connection every further statement fails.
  public func query(_ sql: String, _ parameters: [Parameter] = []) async throws(PoolError) -> QueryResult {
    do {
      return try await connection.query(sql, parameters)
    } catch {
      throw PoolError(.query, fault: error.fault, maybeExecuted: error.maybeExecuted, pool: counts())
    }
  }
}
