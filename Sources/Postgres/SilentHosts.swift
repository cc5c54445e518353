import PoolCore
import Synchronization

/// The hosts that have let somebody wait in vain. They are asked after the others, so that a login does not begin with
/// another such wait.
///
/// Only where a role is asked for: then the order of the hosts says where to look first. Otherwise it says which of them
/// is wanted, and a moment's silence must not change that.
final class SilentHosts: Sendable {
  private let hosts = Mutex<Set<HostID>>([])

  func add(_ host: HostID) {
    _ = hosts.withLock { $0.insert(host) }
  }

  /// It has been heard of: a login was taken, or refused.
  func remove(_ host: HostID) {
    _ = hosts.withLock { $0.remove(host) }
  }

  /// The same hosts, the silent ones at the end.
  func last(of all: [Host]) -> [Host] {
    let silent = hosts.withLock { $0 }
    return all.filter { !silent.contains($0.id) } + all.filter { silent.contains($0.id) }
  }
}
