/// One snapshot for many readers: handing it on costs a reference, where a copy of all that it says would cost more
/// than the answer that is made from it.
public final class SharedSnapshot: Sendable {
  /// What is shared.
  public let snapshot: Snapshot

  /// Shares a snapshot.
  public init(_ snapshot: Snapshot) { self.snapshot = snapshot }
}
