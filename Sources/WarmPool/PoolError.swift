public import PoolCore

/// Why the pool did not do what was asked, with the state of the pool at that moment.
///
/// A caller that can do without the database (a cache, a degraded answer, a rejection) looks at `refusal`: not nil
/// means that no connection could be had, at once or in time, and that nothing was sent to the database.
///
///     do {
///       return try await pool.withConnection(timeout: .milliseconds(200)) { db in
///         try await price(of: item, db)
///       }
///     } catch let error as PoolError where error.refusal != nil {
///       return lastKnownPrice(item)
///     }
public struct PoolError: Error, Sendable, CustomStringConvertible {
  /// What could not be done.
  public enum Kind: Hashable, Sendable {
    /// No connection could be had.
    case acquire(AcquireRefusal)
    /// A statement failed. `maybeExecuted` says whether the server may have run it all the same.
    case query
    /// COMMIT was answered with ROLLBACK, because a statement of the transaction had failed and its error was caught:
    /// nothing of it was executed.
    case rolledBack
    /// COMMIT was sent and its answer was lost: whether the transaction was executed only the database knows.
    case commitUnknown
    /// The drain was taken back by a resume.
    case drainTakenBack
    /// A resume was refused, for this reason.
    case resumeRefused(String)
    /// The pool was drained, or ended, before it was warm.
    case ended
    /// It was not ready in time, for these reasons.
    case notWarm(because: [Reason])
  }

  /// What could not be done.
  public var kind: Kind
  /// What went wrong at the database: of the statement, or the last login or probe that failed.
  public var fault: Fault?
  /// The statement may have been executed: it must not be repeated blindly.
  public var maybeExecuted: Bool
  /// How many connections were in which state at that moment.
  public var pool: PoolCounts

  /// Why no connection could be had; nil for every other kind of error.
  public var refusal: AcquireRefusal? { if case .acquire(let refusal) = kind { refusal } else { nil } }

  init(_ kind: Kind, fault: Fault? = nil, maybeExecuted: Bool = false, pool: PoolCounts) {
    self.kind = kind
    self.fault = fault
    self.maybeExecuted = maybeExecuted
    self.pool = pool
  }

  public var description: String {
    var text =
      switch kind {
      case .acquire(.timedOut(let waited)): "no connection came free within \(waited.inTenths)"
      case .acquire(.queueFull(let limit)): "no connection is free and \(limit) callers wait already"
      case .acquire(.draining): "draining: no new work is taken"
      case .acquire(.circuitOpen(_, let next)):
        "no connection is left and none can be opened; "
          + (next.map { "the next attempt is due in \($0.inTenths)" } ?? "an attempt is under way")
      case .acquire(.noCapacity): "the pool's only connection is the probe's: raise max-connections above 1"
      case .query: maybeExecuted ? "statement failed and may have been executed" : "statement failed"
      case .rolledBack: "a statement of the transaction had failed, so COMMIT rolled it back"
      case .commitUnknown: "the answer to COMMIT was lost: the transaction may have been executed"
      case .drainTakenBack: "the drain was taken back by a resume"
      case .resumeRefused(let why): "resume refused: \(why)"
      case .ended: "the pool has ended"
      case .notWarm(let reasons): "not ready in time: \(reasons.map(\.detail).joined(separator: "; "))"
      }
    if let fault, !text.hasSuffix(fault.detail) { text += ": \(fault.detail)" }
    return text
      + " (\(pool.idle) idle, \(pool.leased) leased, \(pool.connecting) connecting, \(pool.waiting) waiting, "
      + "max \(pool.max))"
  }
}
