/// The answer to "may traffic come here?", from a snapshot and the time of the question.
///
/// The time matters: a snapshot too old to trust is never ready, however good it looked when it was made.
public struct Verdict: Hashable, Sendable {
  /// Traffic may come.
  public var isReady: Bool
  /// Not ready: why. Ready and not empty: degraded, with what is wrong.
  public var reasons: [Reason]
  /// The parts it is made of, each by itself.
  public var checks: [Check]

  /// Ready, with something wrong.
  public var isDegraded: Bool { isReady && !reasons.isEmpty }

  /// The part of a verdict that can be asked alone (`/ready/NAME`) or left out (`?exclude=NAME`).
  public struct Check: Hashable, Sendable {
    /// The checks there are.
    public enum Name: String, Hashable, Sendable, CaseIterable {
      /// The loop beats and the probe is not overdue. Cannot be excluded.
      case heartbeat
      /// No drain has begun. Cannot be excluded.
      case drain
      /// The pool has been warmed to its floor, and still has a connection.
      case pool
      /// A connection answers the probe.
      case probe

      /// Whether `?exclude=NAME` may leave it out.
      public var canBeExcluded: Bool { self == .pool || self == .probe }
    }

    /// Which check it is.
    public var name: Name
    /// Nil: passed.
    public var failure: Reason?
    /// Passed, with something to say.
    public var note: Reason?

    /// Whether nothing stands against being ready.
    public var passed: Bool { failure == nil }
  }

  /// The verdict if some checks are left out (`?exclude=NAME`). Those that cannot be excluded count all the same.
  public func excluding(_ names: Set<Check.Name>) -> Verdict {
    if names.isEmpty { return self }
    let excluded = names.filter(\.canBeExcluded)
    if excluded.isEmpty { return self }
    var rest = self
    rest.checks.removeAll { excluded.contains($0.name) }
    var failures: [Reason] = []
    for failure in rest.checks.compactMap(\.failure) where !failures.contains(failure) {
      failures.append(failure)
    }
    rest.isReady = failures.isEmpty
    rest.reasons = failures.isEmpty ? rest.checks.compactMap(\.note) : failures
    return rest
  }
}

extension Snapshot {
  /// Without a beat for this long, nothing it says is believed (`/ready` is 503 `stalled`).
  public static let stalledAfter: Duration = .seconds(2)
  /// Without a beat for this long, the process is not alive (`/live` is 503).
  public static let deadAfter: Duration = .seconds(10)

  /// Whether the loop has beaten lately enough to go on living: never about the database.
  public func isAlive(at now: Instant) -> Bool { now - taken < Self.deadAfter }

  /// How long it has been stalled at `now`, nil if it is not: no beat for two seconds, or a ready phase whose
  /// probe is overdue.
  public func stalled(at now: Instant) -> Duration? {
    let silence = now - taken
    if silence >= Self.stalledAfter { return silence }
    if phase == .ready, let readyUntil, now > readyUntil, heldFault == nil {
      return now - (probe.lastGood ?? readyUntil)
    }
    return nil
  }

  /// What held it ready by policy has run out at `now`: why it is not ready, which the loop is about to say itself.
  public func lapsed(at now: Instant) -> Reason? {
    guard let heldFault, let readyUntil, now > readyUntil else { return nil }
    return pool.open == 0 ? .databaseLost(heldFault) : .probeFailed(heldFault)
  }

  private var heldFault: Fault? {
    guard phase == .ready else { return nil }
    for case .held(let fault) in degraded { return fault }
    return nil
  }

  /// The answer at `now`.
  public func verdict(at now: Instant) -> Verdict {
    let stalled = stalled(at: now).map(Reason.stalled)
    let drained: Reason? =
      switch phase {
      case .draining: .draining
      case .drained: .drained
      default: nil
      }
    let reasons = lapsed(at: now).map { self.reasons + [$0] } ?? self.reasons
    let failure = drained == nil ? reasons.first : nil
    // A failed probe is the probe's failure; everything else that stands in the way is the pool's.
    var poolFailure: Reason?
    var probeFailure: Reason?
    switch failure {
    case nil: break
    case .probeFailed?: probeFailure = failure
    case .databaseLost?, .starting?: (poolFailure, probeFailure) = (failure, failure)
    case .warming(let open, let min, _)?:
      // The floor may stand while the probe has not answered, and the other way about.
      if open < min { poolFailure = failure }
      if probe.successesInRow == 0 || open >= min { probeFailure = failure }
    default: poolFailure = failure
    }
    // What a snapshot says that is too old to trust, no check passes on.
    poolFailure = poolFailure ?? stalled
    probeFailure = probeFailure ?? stalled
    // Held by policy, the probe is what is not well; everything else that may be wrong is the pool's.
    let notes = failure == nil ? degraded : []
    func isHeld(_ reason: Reason) -> Bool { if case .held = reason { true } else { false } }
    let checks = [
      Verdict.Check(name: .heartbeat, failure: stalled),
      Verdict.Check(name: .drain, failure: drained),
      Verdict.Check(name: .pool, failure: poolFailure, note: notes.first { !isHeld($0) }),
      Verdict.Check(name: .probe, failure: probeFailure, note: notes.first(where: isHeld)),
    ]
    var blocking: [Reason] = []
    if let stalled { blocking.append(stalled) }
    if let drained { blocking.append(drained) } else { blocking += reasons }
    let isReady = blocking.isEmpty && phase == .ready
    return Verdict(isReady: isReady, reasons: isReady ? degraded : blocking, checks: checks)
  }
}
