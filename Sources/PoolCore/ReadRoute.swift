/// Where a read goes, of a pool for the primary and one for each standby: to the least busy standby that can be
/// trusted, otherwise to the primary.
///
/// It holds what one read has found out on its way; what the pools are like at that moment it is told. A standby that
/// is only busy is not lost: the primary does not get the reads that are too many for the standbys.
public struct ReadRoute: Sendable {
  /// What matters of a pool.
  public struct Standing: Hashable, Sendable {
    /// The last question was answered, and nothing since makes that doubtful.
    public var isTrusted: Bool
    /// Nothing is to be had here soon: it refuses callers.
    public var isRefusing: Bool
    /// Leases in use, and callers that wait.
    public var busy: Int

    /// A pool in this state.
    public init(isTrusted: Bool, isRefusing: Bool = false, busy: Int = 0) {
      self.isTrusted = isTrusted
      self.isRefusing = isRefusing
      self.busy = busy
    }
  }

  /// What to do next.
  public enum Step: Hashable, Sendable {
    /// Ask the standby at this position.
    case standby(Int)
    /// Ask the primary, and take its answer for the last word.
    case primary
    /// Nobody can be trusted, but some standby may be in a moment.
    case lookAgain
  }

  private let turn: Int
  private var lost: Set<Int> = []

  /// `turn` is another one for every read: who is first among equals goes round.
  public init(turn: Int) { self.turn = turn }

  /// The standby at this position had nothing for the read: it is passed over until the next look around.
  public mutating func pass(_ standby: Int) { lost.insert(standby) }

  /// What to do, as the pools are now.
  public mutating func next(standbys: [Standing], primary: Standing) -> Step {
    let count = standbys.count
    let first = count > 0 ? Int(turn.magnitude % UInt(count)) : 0
    var best: (index: Int, busy: Int)?
    for offset in 0..<count {
      let index = (first + offset) % count
      let standing = standbys[index]
      guard standing.isTrusted, !lost.contains(index) else { continue }
      if standing.busy < best?.busy ?? .max { best = (index, standing.busy) }
    }
    if let best { return .standby(best.index) }
    if primary.isTrusted || standbys.allSatisfy({ $0.isRefusing && !$0.isTrusted }) { return .primary }
    lost.removeAll()
    return .lookAgain
  }
}

extension ReadRoute.Standing {
  /// A pool as its snapshot describes it at `now`.
  public init(_ snapshot: Snapshot, at now: Instant) {
    let isLameDuck = snapshot.phase == .draining && snapshot.drain?.stage == .lameDuck
    isTrusted =
      (snapshot.phase == .ready || isLameDuck) && snapshot.probe.failuresInRow == 0
      && now - snapshot.taken < Snapshot.stalledAfter
    // A standby that has turned out to be a primary will soon be found by the primary's pool.
    isRefusing =
      switch snapshot.phase {
      case .draining: !isLameDuck
      case .drained: true
      default: snapshot.breaker.state != .closed && !snapshot.hasAnotherRole
      }
    busy = snapshot.pool.leased + snapshot.pool.waiting
  }
}

extension Snapshot {
  /// The server was asked, and is not of the role that the pool wants.
  var hasAnotherRole: Bool { phase != .ready && login.isFailing && login.lastFault?.kind == .wrongRole }
}
