/// Whether sessions that end with 57P01 mean a server that shuts down, or an administrator who picks single ones.
///
/// Two within a second are taken for a shutdown, and all connections are given up. If a new one then answers the
/// probe although no login was refused meanwhile, there was none: for as long as sessions go on being ended so, each
/// is one session's end. A shutdown that follows all the same is noticed by each session itself.
struct ShutdownSigns: Sendable {
  static let pairWithin: Duration = .seconds(1)
  /// After so long without a 57P01, the next two are news again.
  static let quietFor: Duration = .seconds(10)

  /// The first of a pair, perhaps.
  private var first: Instant?
  private var last: Instant?
  /// All connections were given up for a pair; whether rightly is not known yet.
  private var isSuspected = false
  private(set) var isDisproved = false

  /// A session of the present generation has ended with 57P01: whether the server is taken to shut down.
  mutating func heard(at now: Instant) -> Bool {
    if let last, now - last >= Self.quietFor { (isSuspected, isDisproved) = (false, false) }
    last = now
    if isDisproved { return false }
    let isSecond = first.map { now - $0 < Self.pairWithin } ?? false
    first = now
    if isSecond { isSuspected = true }
    return isSecond
  }

  /// What the sessions of the generation before met is no part of a pair any more.
  mutating func generationEnded() { first = nil }

  /// A server that shuts down takes no login.
  mutating func loginFailed() { isSuspected = false }

  mutating func probeAnswered() {
    if isSuspected { (isSuspected, isDisproved) = (false, true) }
  }
}
