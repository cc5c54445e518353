import PoolCore
import Postgres

/// Asks a new session once which database cluster it is connected to, so that connections to two of them never mix: an
/// address may lead to another cluster after a failback, or to one that was restored or initialised anew.
///
/// Every role may ask unless an administrator has revoked it, also through a pooler. A pooler that gives the session
/// another server later is not noticed before the next login.
enum ClusterQuestion {
  enum Answer: Sendable {
    case known(ClusterID)
    /// The server does not tell: a permission, or not quite a PostgreSQL.
    case hidden(Fault)
    /// The session has ended meanwhile, which is told elsewhere.
    case none
  }

  /// A session that has no answer by then is of no use: the probe would wait no longer either.
  static let patience: Duration = .seconds(1)

  private static let sql = "SELECT system_identifier FROM pg_catalog.pg_control_system()"

  static func ask(_ connection: Connection) async -> Answer {
    do throws(QueryError) {
      let answer = try await connection.query(sql)[0, 0]
      if let number = answer.flatMap({ Int64($0) }) { return .known(ClusterID(number)) }
      return .hidden(Fault(.unexpectedAnswer, at: .session, host: connection.hostLabel))
    } catch {
      guard error.connectionUsable else { return .none }
      var fault = error.fault
      fault.step = .session
      return .hidden(fault)
    }
  }
}
