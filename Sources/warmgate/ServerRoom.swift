import PoolCore
import Postgres

/// How many sessions the server has, and how many more it takes from our role and database at this moment.
///
/// Advisory: sessions that are still authenticating hold a slot and are not seen.
struct ServerRoom: Hashable, Sendable {
  var maxConnections: Int
  /// Slots that our role cannot have.
  var reserved: Int
  /// Without those that were not to be counted.
  var used: Int
  /// The role's and the database's limit, with what is used of it; nil without a limit.
  var role: Limit?
  var database: Limit?

  struct Limit: Hashable, Sendable {
    var limit: Int
    var used: Int
  }

  /// Sessions that are free for us.
  var free: Int {
    let slots = maxConnections - reserved - used
    let limits = [role, database].compactMap { $0.map { $0.limit - $0.used } }
    return max(0, ([slots] + limits).min() ?? slots)
  }

  /// `at least 6 of 97 used, 91 free`, with a narrower limit if there is one.
  var text: String {
    var text = "max_connections \(maxConnections), \(reserved) reserved, at least \(used) used"
    if let role { text += ", role limit \(role.limit) with \(role.used) used" }
    if let database { text += ", database limit \(database.limit) with \(database.used) used" }
    return text + ": about \(free) free"
  }

  /// Our own session, which asks, is not counted. `pg_stat_get_activity(null)` is much cheaper than the view; for an
  /// ordinary role only `usesysid` and `datid` tell sessions from processes that take no slot: the launcher of logical
  /// replication and physical WAL senders have a user, and no database (PostgreSQL manual, 28.2.3).
  private static let question = """
    with session as (select usesysid, datid, pid from pg_stat_get_activity(null)
                     where usesysid is not null and datid is not null and pid <> pg_backend_pid()
                       and not exists (select from unnest($1::text[]) as prefix
                                       where left(application_name, length(prefix)) = prefix)),
         me as (select oid, rolsuper, rolconnlimit from pg_roles where rolname = session_user),
         here as (select oid, datconnlimit from pg_database where datname = current_database())
    select current_setting('max_connections'), current_setting('superuser_reserved_connections'),
           coalesce(current_setting('reserved_connections', true), '0'), me.rolsuper,
           me.rolconnlimit, here.datconnlimit, (select count(*) from session),
           (select count(*) from session where usesysid = me.oid),
           (select count(*) from session where datid = here.oid)
    from me, here
    """

  /// A server may answer anything: what is counted with stays small enough for that. -1 is no limit.
  static func count(from text: String) -> Int? { Int(text).map { max(-1, min($0, 1_000_000_000)) } }

  /// Sessions whose application name begins with one of `prefixes` are not counted, as far as our role sees names. Nil
  /// if the server's answer is not what PostgreSQL gives, as behind some poolers.
  static func ask(
    _ connection: Connection, besides prefixes: [String] = []
  ) async throws(QueryError) -> ServerRoom? {
    let row = try await connection.query(question, [Parameter(array: prefixes.map { Parameter($0) })])
    func number(_ column: Int) -> Int? { row[0, column].flatMap(Self.count(from:)) }
    guard let max = number(0), let superuser = number(1), let others = number(2), let roleLimit = number(4),
      let databaseLimit = number(5), let used = number(6), let byRole = number(7), let inDatabase = number(8)
    else { return nil }
    // Neither limit holds for a superuser (PostgreSQL manual, CREATE ROLE and CREATE DATABASE).
    let isSuperuser = row[0, 3] == "t"
    return ServerRoom(
      maxConnections: max, reserved: isSuperuser ? 0 : superuser + others, used: used,
      role: isSuperuser || roleLimit < 0 ? nil : Limit(limit: roleLimit, used: byRole),
      database: isSuperuser || databaseLimit < 0 ? nil : Limit(limit: databaseLimit, used: inDatabase))
  }
}
