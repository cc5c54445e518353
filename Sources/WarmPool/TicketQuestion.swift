import PoolCore
import Postgres

/// Takes one of a fleet's tickets: an advisory lock of the database, of the session that asks (PostgreSQL manual, 13.3.5
/// "Advisory Locks"). Two numbers make it: one that says what it is for, and which of the tickets it is.
///
/// Any role may take such locks, also on a standby, where they are that server's alone.
struct TicketQuestion: Sendable {
  let tickets: Int

  /// `warm`, as four bytes. All who use it in one database share its tickets.
  static let purpose = 0x7761_726D

  /// `$1` the tickets in random order, `$2` the process that should answer: a lock taken through a transaction pooler
  /// would stay with a session that somebody else is given next. `LIMIT` ends the search at the first one that is free;
  /// nothing is sorted, which could take more of them.
  private static let take = """
    SELECT pg_backend_pid(), (SELECT ticket FROM unnest($1::int4[]) AS ticket
      WHERE CASE WHEN pg_backend_pid() = $2::int4 THEN pg_try_advisory_lock(\(purpose), ticket) ELSE false END LIMIT 1)
    """

  /// A holder that has vanished is noticed by its server within about five seconds, instead of two hours.
  private static let noticesSoon = """
    SELECT set_config('tcp_keepalives_idle', '2', false), set_config('tcp_keepalives_interval', '1', false),
      set_config('tcp_keepalives_count', '3', false), set_config('tcp_user_timeout', '5000', false)
    """

  private static let giveBack = "SELECT pg_advisory_unlock_all()"

  /// As the session was begun.
  private static let noticesAsBefore = """
    SELECT set_config(name, reset_val, false) FROM pg_settings
    WHERE name IN ('tcp_keepalives_idle', 'tcp_keepalives_interval', 'tcp_keepalives_count', 'tcp_user_timeout')
    """

  func ask(_ connection: Connection) async -> TicketAnswer {
    var random = SystemRandomNumberGenerator()
    let order = (1...max(tickets, 1)).shuffled(using: &random).map { Parameter($0) }
    do throws(QueryError) {
      let answer = try await connection.query(
        Self.take, [Parameter(array: order), Parameter(Int(connection.backendPID))])
      guard answer[0, 0] == String(connection.backendPID) else {
        return .unavailable(
          "a pooler is in between, and a lock would stay with whoever is given the session next")
      }
      guard answer[0, 1] != nil else { return .noneFree }
    } catch {
      // The lock may have been taken all the same: it is not undone with the statement.
      if error.connectionUsable { await giveBack(connection) }
      guard error.connectionUsable, error.fault.sqlState != .queryCanceled else { return .noneFree }
      return .unavailable(error.fault.detail)
    }
    // Without it the ticket is as good, only lost for longer with a node that vanishes.
    _ = try? await connection.query(Self.noticesSoon)
    return .granted
  }

  func giveBack(_ connection: Connection) async {
    // The first time it may be stopped for being late.
    do throws(QueryError) { _ = try await connection.query(Self.giveBack) } catch {
      if error.connectionUsable { _ = try? await connection.query(Self.giveBack) }
    }
    _ = try? await connection.query(Self.noticesAsBefore)
  }
}
