import PoolCore
import Postgres
import Synchronization

/// What the pools of a `ReadWritePool` know of each other: where the primary is, and that roles have changed.
final class Roles: Sendable {
  private struct State {
    /// As `Host.label`; nil while the primary's pool has none.
    var primary: String?
    var triesPrimary: @Sendable () -> Void = {}
    var triesStandbys: @Sendable () -> Void = {}
  }

  private let state = Mutex(State())

  /// The pools keep this object; it does not keep them.
  func watch(_ primary: WarmPool, _ standbys: [ReadWritePool.Standby]) {
    let triesStandbys = standbys.map { standby in
      { @Sendable [weak pool = standby.pool] () -> Void in pool?.rolesMayHaveChanged() }
    }
    state.withLock {
      $0.triesPrimary = { [weak primary] in primary?.rolesMayHaveChanged() }
      $0.triesStandbys = { for tries in triesStandbys { tries() } }
    }
  }

  /// A session of the primary's pool is at a primary: it insists on that when it logs in.
  func primary(tells event: PoolEvent) {
    switch event {
    case .connected(_, let host, _, _): primary(isAt: host)
    case .transition(let transition) where transition.to == .unready: primary(isAt: nil)
    default: break
    }
  }

  private func primary(isAt host: String?) {
    let tries = state.withLock { state -> (@Sendable () -> Void)? in
      guard state.primary != host else { return nil }
      state.primary = host
      return state.triesStandbys
    }
    tries?()
  }

  /// A session of a standby has become one of a primary.
  func wasPromoted() { state.withLock { $0.triesPrimary }() }

  /// Asking a server for a standby that the primary's pool knows to be the primary would be a load on it, from every
  /// instance and for as long as it is one.
  func refusal(at host: Host) -> Fault? {
    guard state.withLock({ $0.primary }) == host.label else { return nil }
    return Fault(.wrongRole, at: .role, host: host.label, message: "it is the primary")
  }
}
