import PoolCore

/// What the outside is told at one moment: one snapshot, read once, and the time of the question on the same clock.
public struct Observation: Sendable {
  /// What the instance knew.
  public var snapshot: Snapshot { shared.snapshot }
  private let shared: SharedSnapshot
  /// When it is asked: a snapshot that is too old by then is not believed.
  public var now: Instant

  /// A snapshot and the time of the question.
  public init(_ shared: SharedSnapshot, now: Instant) {
    self.shared = shared
    self.now = now
  }

  /// The same, from a snapshot that nobody else looks at.
  public init(snapshot: Snapshot, now: Instant) { self.init(SharedSnapshot(snapshot), now: now) }

  var verdict: Verdict { snapshot.verdict(at: now) }

  /// What `/ready` answers.
  public var isReady: Bool { verdict.isReady }

  /// What `/ready` says, on one line.
  public var line: String {
    Answer(.ready, self).text.split(separator: "\n").joined(separator: "; ")
  }
}

/// The health listener: tells anybody, over HTTP, whether traffic may come here. Read-only.
///
/// It runs on a thread of its own, reads one immutable snapshot per answer, and waits for nothing: a thousand
/// probers cost the database nothing, and a stuck pool cannot slow an answer.
public final class HealthServer: Sendable {
  /// Where it listens: port 0 is resolved.
  public var address: ListenAddress { daemon.address }
  private let daemon: Daemon

  /// Starts to listen; clients are answered when it returns.
  ///
  /// - Parameters:
  ///   - listen: tried in order; a later address is used where the machine does not have the one before it, such
  ///     as `[::]:8086` without IPv6. An address that is in use or forbidden is an error at once: another port or
  ///     family would be a surprise.
  ///   - probeInterval: what `Retry-After` tells, rounded up to whole seconds.
  ///   - version: of the executable, for `/metrics`.
  ///   - requests: where its requests are counted; `/metrics` shows those of all listeners that share it.
  ///   - probers: where those are noted who ask for readiness.
  ///   - observe: called for every answer, on the listener's thread. It must not block.
  public convenience init(
    listen: [ListenAddress], probeInterval: Duration, version: String,
    requests: RequestCounts = RequestCounts(), probers: Probers? = nil,
    observe: @escaping @Sendable () -> Observation
  ) throws(ListenError) {
    try self.init(
      listen: listen, probeInterval: probeInterval, limits: .health(), version: version, requests: requests,
      probers: probers, observe: observe)
  }

  init(
    listen: [ListenAddress], probeInterval: Duration, limits: ListenLimits, version: String = "",
    requests: RequestCounts = RequestCounts(), probers: Probers? = nil,
    observe: @escaping @Sendable () -> Observation
  ) throws(ListenError) {
    daemon = try Daemon(
      setting: "listen", addresses: listen, name: "warmgate-health", limits: limits, requests: requests,
      handler: HealthRoutes(
        probeInterval: probeInterval, metrics: MetricsRoute(version: version, requests: requests),
        probers: probers, observe: observe))
  }

  deinit { daemon.stop() }

  /// Stops listening and closes every connection; returns within half a second. A second call does nothing.
  public func stop() { daemon.stop() }
}

extension Daemon {
  /// Binds the first of `addresses` that this machine has.
  convenience init(
    setting: String, addresses: [ListenAddress], name: String, limits: ListenLimits, requests: RequestCounts,
    handler: any RequestHandler
  ) throws(ListenError) {
    guard let last = addresses.last else { throw ListenError(setting, "needs an address") }
    for address in addresses {
      do throws(ListenSocket.Failure) {
        let socket = try ListenSocket(address)
        try self.init(socket: socket, name: name, limits: limits, requests: requests, handler: handler)
        return
      } catch {
        if address == last || !error.isMissingFamily { throw ListenError(setting, address, error) }
      }
    }
    throw ListenError(setting, "\(last): cannot be used")
  }
}
