import PoolCore
public import Postgres

/// A connection in a caller's hands, for the time of one `withConnection`. It cannot be copied or kept: letting it
/// escape its scope is a compile error.
///
/// One statement at a time. The first one, if the connection turns out to be dead before a byte of it was sent, moves
/// to another connection by itself; no other ever runs twice. Session state that a statement leaves behind (`SET`,
/// temporary tables, advisory locks) stays with the connection and is seen by later leases, unless `withConnection`
/// was asked to reset it; an open transaction is rolled back.
///
/// `COPY` and `LISTEN` are not offered: they need a connection of one's own.
public struct Lease: ~Copyable {
  let loan: Loan
  /// Another one after a read whose standby was lost.
  var pool: WarmPool { loan.pool }

  /// The process at the server, as in `pg_stat_activity.pid`. Certain from the first statement on.
  public var backendPID: Int32 { loan.connection.backendPID }

  /// Runs one statement. Parameters are `$1`, `$2`, …
  ///
  /// Throws a `PoolError` of kind `.query`. After an error of the database's own (a constraint, a syntax error) the
  /// lease can be used on; after a lost connection every further statement fails.
  public func query(_ sql: String, _ parameters: [Parameter] = []) async throws(PoolError) -> QueryResult {
    try await pool.query(on: loan, sql, parameters)
  }

  /// Names the session for the time of the lease.
  func tag(_ tag: String) async throws(PoolError) {
    loan.isTagged = true
    _ = try await query("SELECT set_config('application_name', $1, false)", [Parameter(tag)])
  }
}
