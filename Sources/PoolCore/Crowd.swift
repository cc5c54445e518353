/// What the time of a login tells of how many others log in at the same moment.
///
/// A server lets logins in one after another, so a login takes as long as the queue before it. What waits for longer than
/// its client is patient is done for nobody, and then the queue never ends: so an instance stays out of it for a time
/// that grows faster than the queue does. Alone, it never waits.
enum Crowd {
  /// Whether two logins at a time are one too many. The spread of ordinary logins is no crowd.
  static func isSeen(took: Duration, best: Duration) -> Bool {
    took >= .milliseconds(500) || took >= .milliseconds(100) && took >= best.scaled(by: 4)
  }

  /// How long to stay out of the queue, on average. Nothing up to three tenths of the patience (1.5 s of 5 s), 1 s at a
  /// half, 8 s at seven tenths, and 10 s from there on: what is a crowd now may be none in a moment, and whoever pauses
  /// does not learn of it.
  ///
  /// With n instances at a server that completes r logins a second, queue and pause together become n ÷ r: with this
  /// rule the queue stays shorter than the patience up to n ÷ r = 14 s. Its constants are those with which simulated
  /// fleets wasted least, were full first, and came back soon from a server that had been slow.
  static func pause(took: Duration, patience: Duration) -> Duration {
    guard patience > .zero else { return .zero }
    let share = Double(took.inNanoseconds) / Double(patience.inNanoseconds)
    let excess = min(share, 1) - 0.3
    guard excess > 0 else { return .zero }
    return patience.scaled(by: min(25 * excess * excess * excess, 2))
  }
}
