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

  /// So few instances are none.
  static let few = 20
  /// What a server says of others is advice: no wait is longer than for so many.
  private static let mostInstances = 100_000

  /// Who had lost everything and has its first connection again is hardly the only one. So long it leaves the server to
  /// those of its fleet that have none: 0.1 s among 200, 5 s among 10,000. By then a server of 2,000 logins a second has
  /// let all of them in; a slower one shows by the time of its logins that there is a crowd.
  static func leave(fleet: Int) -> Duration {
    guard fleet > few else { return .zero }
    return .microseconds(500).scaled(by: Double(min(fleet, mostInstances)))
  }

  /// After so many logins in a row that the server took and was not done with in time: how long to stay away.
  ///
  /// Then the queue is longer than its clients are patient, and the server works for those that have left. It gets out of
  /// that only if nobody comes for as long as it works on what there is, and that depends on the fleet: 4 ms for each
  /// instance, 16 ms after the second time, then 40 ms, doubled each time up to 160 ms, and up to twice as long. The steps
  /// are those with which simulated fleets of 500 to 10,000 came back soonest. And up to as long as it has failed: a server
  /// that hung, for another reason than a crowd, is asked again within the time that it hung. Who does not know its fleet
  /// goes by that alone.
  static func retreat(timeouts: Int, fleet: Int?, failingFor: Duration) -> ClosedRange<Duration> {
    guard let fleet else { return .zero...min(failingFor, RetryPace.longestCap) }
    let perInstance: Duration =
      switch timeouts {
      case ...1: .milliseconds(4)
      case 2: .milliseconds(16)
      case 3: .milliseconds(40)
      case 4: .milliseconds(80)
      default: .milliseconds(160)
      }
    let least = min(perInstance.scaled(by: Double(min(fleet, mostInstances))), failingFor.scaled(by: 0.5))
    return least...least + least
  }
}
