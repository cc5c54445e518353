import Postgres

/// Counts the sessions of the application beside this pool: those whose name begins with a prefix, else those from the
/// same client address. Another pod may be behind the same address, or have the same names: where the address is seen,
/// both have to fit.
struct AppQuestion: Sendable {
  /// Begins the names of the application's sessions; nil: all that come from here are its own.
  var prefix: String?

  /// `$1` prefix or NULL. Addresses of other roles are hidden from an ordinary one (PostgreSQL manual, 28.2).
  private static let sql = """
    SELECT host(inet_client_addr()), count(*) FROM pg_stat_get_activity(NULL) AS a
    WHERE a.datid IS NOT NULL AND a.pid <> pg_backend_pid() AND a.application_name <> current_setting('application_name')
      AND CASE WHEN $1::text IS NULL THEN a.client_addr = inet_client_addr()
        ELSE starts_with(a.application_name, $1) AND coalesce(a.client_addr = inet_client_addr(), true) END
    """

  /// Nil if they cannot be told from others.
  func ask(_ connection: Connection) async -> Int? {
    let address = await connection.localAddress
    guard let answer = try? await connection.query(Self.sql, [Parameter(prefix)]) else { return nil }
    // Behind a proxy or a Unix socket, others come from there too.
    if prefix == nil, address == nil || answer[0, 0] != address { return nil }
    return answer[0, 1].flatMap { Int($0) }
  }
}
