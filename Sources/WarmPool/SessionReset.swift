/// What of a session is undone when its lease ends. An open transaction is rolled back in any case.
public enum SessionReset: Hashable, Sendable {
  /// Nothing else: `SET`, temporary tables, session locks, and prepared statements made by SQL stay, and are seen by
  /// later leases.
  case transaction
  /// Everything (`DISCARD ALL`; PostgreSQL manual, "DISCARD"). One more round trip.
  case discardAll
}
