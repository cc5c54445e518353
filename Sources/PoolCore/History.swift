/// The pool over the last minutes, for charts: one sample for each two seconds, of five minutes.
///
/// Kept by whoever publishes snapshots, so that somebody who has only just looked sees what went before. Samples are
/// taken from what is published anyway: a history costs no timer and no wake-up.
public struct History: Hashable, Sendable {
  /// The time one sample stands for.
  public static let step: Duration = .seconds(2)
  /// How many are kept.
  public static let capacity = 150

  /// The pool at the busiest moment of a step (most callers waiting, then most connections leased), and the probes
  /// that ended in it.
  public struct Sample: Hashable, Sendable {
    /// When the step began.
    public var at: Instant
    /// Open, and in nobody's hands.
    public var idle: Int
    /// In a caller's hands.
    public var leased: Int
    /// Logins under way.
    public var connecting: Int
    /// Callers that waited for a connection.
    public var waiting: Int
    /// How long the slowest probe took; nil if none ended in this step.
    public var probeTook: Duration?
    /// How many probes failed.
    public var probesFailed = 0
  }

  /// Steps that have ended, oldest first. Apart from the current one: what is published shares this array, and is
  /// copied no more often than a step ends.
  private var ended: [Sample] = []
  private var current: Sample?
  private var lastProbe: Instant?

  /// Nothing seen yet.
  public init() {}

  /// Oldest first; the last one goes on. While nobody publishes, such as in a process that is stopped, there is none.
  public var samples: [Sample] { ended + (current.map { [$0] } ?? []) }

  /// Takes in what is published.
  public mutating func note(_ snapshot: Snapshot) {
    var sample = current ?? Sample(snapshot)
    if snapshot.taken - sample.at >= Self.step {
      if ended.count >= Self.capacity { ended.removeFirst(ended.count - Self.capacity + 1) }
      ended.append(sample)
      sample = Sample(snapshot)
    } else if sample.isLessBusy(than: snapshot.pool) {
      sample.count(snapshot.pool)
    }
    if let probe = snapshot.probe.last, probe.at != lastProbe {
      lastProbe = probe.at
      sample.probeTook = max(sample.probeTook ?? .zero, probe.took)
      if probe.fault != nil { sample.probesFailed += 1 }
    }
    current = sample
  }
}

extension History.Sample {
  fileprivate init(_ snapshot: Snapshot) {
    let pool = snapshot.pool
    self.init(
      at: snapshot.taken, idle: pool.idle, leased: pool.leased, connecting: pool.connecting,
      waiting: pool.waiting)
  }

  fileprivate func isLessBusy(than pool: PoolCounts) -> Bool {
    (waiting, leased, connecting) < (pool.waiting, pool.leased, pool.connecting)
  }

  fileprivate mutating func count(_ pool: PoolCounts) {
    (idle, leased, connecting, waiting) = (pool.idle, pool.leased, pool.connecting, pool.waiting)
  }
}
