import PoolCore
import Postgres

/// Asks how much room the server has, with only what an ordinary role may read.
package enum RoomQuestion {
  package enum Answer: Sendable {
    case known(ServerRoom)
    /// The session at the server is not ours: a pooler gave it to us, and how many logins that one takes, nobody says.
    case pooler(ServerRoom)
    /// Not what PostgreSQL gives.
    case unexpected

    /// That of the server, whoever is in between.
    package var room: ServerRoom? {
      switch self {
      case .known(let room), .pooler(let room): room
      case .unexpected: nil
      }
    }
  }

  /// The session that asks is not counted. `pg_stat_get_activity(null)` is much cheaper than the view; for an
  /// ordinary role only `usesysid` and `datid` tell sessions from processes that take no slot: the launcher of logical
  /// replication and physical WAL senders have a user, and no database (PostgreSQL manual, 28.2.3).
  private static let sql = """
    with session as (select usesysid, datid, pid, application_name from pg_stat_get_activity(null)
                     where usesysid is not null and datid is not null and pid <> pg_backend_pid()
                       and not exists (select from unnest($1::text[]) as prefix
                                       where left(application_name, length(prefix)) = prefix)),
         peer as (select application_name from session where split_part(application_name, '/', 1)
                    = split_part(current_setting('application_name'), '/', 1)),
         me as (select oid, rolsuper, rolconnlimit from pg_roles where rolname = session_user),
         here as (select oid, datconnlimit from pg_database where datname = current_database())
    select current_setting('max_connections'), current_setting('superuser_reserved_connections'),
           coalesce(current_setting('reserved_connections', true), '0'), me.rolsuper,
           me.rolconnlimit, here.datconnlimit, (select count(*) from session),
           (select count(*) from session where usesysid = me.oid),
           (select count(*) from session where datid = here.oid), pg_backend_pid(), (select count(*) from peer),
           (select count(distinct name) from (select application_name from peer
                                              union all select current_setting('application_name')) as all_of_us(name))
    from me, here
    """

  /// A server may answer anything: what is counted with stays small enough for that. -1 is no limit.
  package static func count(from text: String) -> Int? { Int(text).map { max(-1, min($0, 1_000_000_000)) } }

  /// Sessions whose application name begins with one of `prefixes` are not counted, as far as our role sees names.
  package static func ask(
    _ connection: Connection, besides prefixes: [String] = []
  ) async throws(QueryError) -> Answer {
    let row = try await connection.query(sql, [Parameter(array: prefixes.map { Parameter($0) })])
    func number(_ column: Int) -> Int? { row[0, column].flatMap(Self.count(from:)) }
    guard let max = number(0), let superuser = number(1), let others = number(2), let roleLimit = number(4),
      let databaseLimit = number(5), let used = number(6), let byRole = number(7), let inDatabase = number(8),
      let peers = number(10), let instances = number(11)
    else { return .unexpected }
    // Neither limit holds for a superuser (PostgreSQL manual, CREATE ROLE and CREATE DATABASE).
    let isSuperuser = row[0, 3] == "t"
    let room = ServerRoom(
      maxConnections: max, reserved: isSuperuser ? 0 : superuser + others, used: used,
      role: isSuperuser || roleLimit < 0 ? nil : .init(limit: roleLimit, used: byRole),
      database: isSuperuser || databaseLimit < 0 ? nil : .init(limit: databaseLimit, used: inDatabase),
      fleet: .init(instances: instances, sessions: peers))
    return row[0, 9] == String(connection.backendPID) ? .known(room) : .pooler(room)
  }
}
