import Synchronization

/// How many requests were answered, by path and status: of all listeners that share it.
///
/// Its lock is held for an addition, never while a client is waited for. There are as many counts as paths and statuses
/// that the listeners have, whatever clients ask for.
public final class RequestCounts: Sendable {
  /// A path by its first name.
  enum Path: String, Hashable, Sendable, CaseIterable {
    case ready = "/ready"
    case readyHeartbeat = "/ready/heartbeat"
    case readyDrain = "/ready/drain"
    case readyPool = "/ready/pool"
    case readyProbe = "/ready/probe"
    case live = "/live"
    case startup = "/startup"
    case metrics = "/metrics"
    case adminHome = "/"
    case status = "/status"
    case drain = "/drain"
    case resume = "/resume"
    case quit = "/quit"
    /// Whatever neither listener has.
    case other
  }

  struct Count: Hashable, Sendable {
    var path: Path
    var code: Int
    var count: Int
  }

  private struct Key: Hashable, Sendable {
    var path: Path
    var code: Int
  }

  private let counts = Mutex<[Key: Int]>([:])

  /// Nothing counted yet.
  public init() {}

  func add(_ path: Path, _ status: Response.Status) {
    counts.withLock { $0[Key(path: path, code: status.rawValue), default: 0] += 1 }
  }

  /// In the order of paths, then of codes.
  var all: [Count] {
    let counts = counts.withLock { $0 }
    return Path.allCases.flatMap { path in
      counts.filter { $0.key.path == path }.map { Count(path: path, code: $0.key.code, count: $0.value) }
        .sorted { $0.code < $1.code }
    }
  }
}
