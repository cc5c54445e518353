import PoolCore
import Postgres

/// Asks the server which sessions, of this instance and of its neighbours, are idle in a transaction for too long.
///
/// Everybody may see every session's name and role; state and client address of other roles' sessions only
/// pg_read_all_stats (PostgreSQL manual, 28.2 "The Statistics Collector").
struct SessionQuestion: Sendable {
  /// Begins the name of a neighbour's sessions; nil: they are those from the same client address.
  var neighbourPrefix: String?
  var leakAfter: Duration

  static let mostLeaks = 100

  /// How often it is asked: often enough that a leak is not reported much later than it is one.
  var interval: Duration { min(max(leakAfter.scaled(by: 1 / 3), .seconds(1)), .seconds(10)) }

  /// One row without a process if nothing leaks, so that what is said of the server itself always comes. This
  /// instance's name is taken as the server has it: cut to 63 bytes, and whatever a lease has set since.
  /// `$1` prefix or NULL, `$2` own address or NULL, `$3` milliseconds.
  private static let sql = """
    SELECT host(inet_client_addr()), pg_has_role('pg_read_all_stats', 'USAGE'), a.pid, a.xact_start,
      a.application_name, a.usename, a.application_name = own.reset_val,
      (extract(epoch FROM clock_timestamp() - a.state_change) * 1000)::bigint
    FROM (SELECT reset_val FROM pg_settings WHERE name = 'application_name') AS own
    LEFT JOIN pg_stat_activity AS a ON a.pid <> pg_backend_pid()
      AND a.state IN ('idle in transaction', 'idle in transaction (aborted)')
      AND clock_timestamp() - a.state_change > $3::int8 * interval '1 millisecond'
      AND (a.application_name = own.reset_val OR CASE WHEN $1::text IS NULL
        THEN a.client_addr = inet_client_addr() AND host(a.client_addr) = $2::text
        ELSE starts_with(a.application_name, $1) END)
    ORDER BY a.state_change LIMIT \(mostLeaks)
    """

  func ask(_ connection: Connection) async throws(QueryError) -> SessionReading {
    let address = await connection.localAddress
    let answer = try await connection.query(
      Self.sql,
      [
        Parameter(neighbourPrefix), Parameter(address),
        Parameter(Int(clamping: leakAfter.inNanoseconds / 1_000_000)),
      ])
    var limits: [SessionLeaks.Limit] = []
    let scope: SessionLeaks.Scope
    if let neighbourPrefix {
      scope = .applicationName(prefix: neighbourPrefix)
    } else if let address {
      scope = answer[0, 0] == address ? .clientAddress : .instance
      if scope == .instance { limits.append(.otherAddress) }
    } else {
      scope = .instance
      limits.append(.unixSocket)
    }
    if scope != .instance, answer[0, 1] != "t" { limits.append(.ownRoleOnly) }
    return SessionReading(
      leaks: (0..<answer.rowCount).compactMap { Self.leak(answer, $0) }, scope: scope, limits: limits)
  }

  private static func leak(_ answer: QueryResult, _ row: Int) -> SessionLeak? {
    guard let pid = answer[row, 2].flatMap({ Int32($0) }), let idle = answer[row, 7].flatMap({ Int($0) })
    else { return nil }
    func text(_ column: Int) -> String { String((answer[row, column] ?? "").prefix(100)) }
    return SessionLeak(
      pid: pid, transactionBegan: text(3), applicationName: text(4), role: text(5),
      isOwn: answer[row, 6] == "t", idleFor: .milliseconds(max(0, idle)))
  }
}
