import PoolCore
import Postgres

/// Asks a new session once which server it is connected to, and of which database cluster, so that connections to two
/// clusters never mix: an address may lead to another one after a failback, or to one that was restored or initialised
/// anew.
///
/// Every role may ask unless an administrator has revoked it, also through a pooler. A pooler that gives the session
/// another server later is not noticed before the next login.
enum ServerQuestion {
  enum Answer: Sendable {
    case known(ServerID)
    /// The server does not tell: a permission, or not quite a PostgreSQL.
    case hidden(Fault)
    /// The session has ended meanwhile, which is told elsewhere.
    case none
  }

  /// A session that has no answer by then is of no use: the probe would wait no longer either.
  static let patience: Duration = .seconds(1)

  private static let sql = """
    SELECT system_identifier,
      (pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()) * 1000000)::bigint
    FROM pg_catalog.pg_control_system()
    """

  static func ask(_ connection: Connection) async -> Answer {
    do throws(QueryError) {
      let answer = try await connection.query(sql)
      if let cluster = answer[0, 0].flatMap({ Int64($0) }), let start = answer[0, 1].flatMap({ Int64($0) }) {
        return .known(ServerID(ClusterID(cluster), started: start))
      }
      return .hidden(Fault(.unexpectedAnswer, at: .session, host: connection.hostLabel))
    } catch {
      guard error.connectionUsable else { return .none }
      var fault = error.fault
      fault.step = .session
      return .hidden(fault)
    }
  }
}
