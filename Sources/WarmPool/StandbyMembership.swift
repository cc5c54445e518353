import EventLoop
import PoolCore
import Postgres

/// What makes a pool the one of a single host that may be a standby, beside others that serve the same reads
/// (`ReadWritePool`). Its callers have another pool to go to: they do not wait where an answer is in doubt.
struct StandbyMembership: Sendable {
  let host: Host
  /// Why a login need not be tried: the host is known to be the primary, and asking it again and again would be a
  /// load on it.
  let loginRefusal: @Sendable () -> Fault?
  /// The host has shown that it is a primary now.
  let wasPromoted: @Sendable () -> Void
}

/// Thrown to a caller of a standby's pool that has another one to go to.
struct PoolInDoubt: Error {}

extension WarmPool {
  /// After every event of a standby's pool.
  func sendAwayIfInDoubt() {
    guard standby != nil, !core.isTrusted, !isSendingAway, !acquiring.isEmpty else { return }
    // To tell the core of one ends here again, thousands deep if all of them were sent away in there; and it may end the
    // wait of another.
    isSendingAway = true
    defer { isSendingAway = false }
    while let (lease, caller) = acquiring.removeFirst() {
      handle(.abandon(lease))
      caller.refuse(PoolInDoubt())
    }
  }

  /// Servers may have exchanged their roles: a login that waits is tried soon. Any thread.
  nonisolated func rolesMayHaveChanged() {
    loop.post { self.assumeIsolated { $0.handle(.rolesChanged) } }
  }

  /// Lends a connection of this pool for what is left of a lease whose own pool has none any more.
  nonisolated func adopt(_ loan: Loan, within patience: Duration) async throws {
    try Task.checkCancellation()
    let (id, pooled) = try await granted(
      Acquisition(.lease, within: patience, at: loan.site))
    loan.move(to: self, id, pooled)
  }

  /// Those of the URL, in its order.
  nonisolated var hosts: [Host] { connector.database.hosts }

  /// How a read that looks for a pool sees this one. Any thread.
  nonisolated func standing(at now: Instant) -> ReadRoute.Standing {
    published.withLock { ReadRoute.Standing($0.snapshot, at: now) }
  }
}
