import PoolCore

/// What the loop has published last. It writes far more often than anybody asks, so what is shared is made for the
/// first one who does.
struct PublishedSnapshot: Sendable {
  var snapshot: Snapshot { didSet { handedOut = nil } }
  private var handedOut: SharedSnapshot?

  init(_ snapshot: Snapshot) { self.snapshot = snapshot }

  /// The same one until the next is published.
  var shared: SharedSnapshot {
    mutating get {
      if let handedOut { return handedOut }
      let made = SharedSnapshot(snapshot)
      handedOut = made
      return made
    }
  }
}
