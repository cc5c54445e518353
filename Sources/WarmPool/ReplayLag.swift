import PoolCore
import Postgres

/// How far a standby is behind its primary.
package enum ReplayLag {
  /// Zero while everything received has been replayed and the receiver runs; otherwise the age of the last
  /// transaction replayed, or of the server if it has replayed none. Readable by every role (PostgreSQL manual, 9.27.4
  /// and 28.2.6).
  private static let sql = """
    SELECT CASE WHEN pg_catalog.pg_last_wal_receive_lsn() = pg_catalog.pg_last_wal_replay_lsn()
      AND EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver) THEN 0
      ELSE extract(epoch FROM pg_catalog.clock_timestamp()
        - coalesce(pg_catalog.pg_last_xact_replay_timestamp(), pg_catalog.pg_postmaster_start_time()))
      END::float8
    """

  /// Of the standby at the other end of `connection`.
  package static func ask(_ connection: Connection) async throws(QueryError) -> Duration {
    lag(from: try await connection.query(sql)[0, 0])
  }

  /// A server may answer anything: what is no number is no lag, what is too great for a duration is the longest. Clocks
  /// differ, so a little less than nothing is nothing.
  package static func lag(from seconds: String?) -> Duration {
    max(.zero, Duration.seconds(1).scaled(by: seconds.flatMap(Double.init) ?? 0))
  }
}
