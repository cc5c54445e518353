/// When the next login may start, and how many at once. Every login of an instance passes through here.
struct LoginPacing: Sendable {
  private(set) var report = LoginReport()
  /// Two at a time gain what there is to gain; more only multiply the latency of each. One, after a sign that the
  /// server has trouble.
  private(set) var limit = 1
  private(set) var notBefore: Instant = .origin
  private var firstFailure: Instant?
  private var repeated = 0

  var isFailing: Bool { report.isFailing }

  mutating func wait(until: Instant) { notBefore = max(notBefore, until) }

  mutating func succeeded(took: Duration, at now: Instant) {
    report.failuresInRow = 0
    report.lastSuccessAt = now
    report.lastTook = took
    firstFailure = nil
    repeated = 0
    notBefore = .origin
    limit = 2
  }

  mutating func failed(_ fault: Fault, at now: Instant, random: inout RandomSource) {
    repeated = report.isFailing && report.lastFault?.kind == fault.kind ? repeated + 1 : 1
    report.failuresInRow += 1
    report.lastFault = fault
    report.lastFaultAt = now
    let since = firstFailure ?? now
    firstFailure = since
    switch fault.kind {
    case .timedOut, .server(.tooManyConnections), .server(.cannotConnectNow): limit = 1
    default: break
    }
    let failingFor = now - since
    let pace = RetryPace.after(fault, repeated: repeated, failingFor: failingFor)
    notBefore = now + pace.delay(failures: report.failuresInRow, failingFor: failingFor, random: &random)
  }

  /// Something that stood in the way may be gone (a new password): try soon, but not all instances at once.
  mutating func tryAgainSoon(at now: Instant, random: inout RandomSource) {
    notBefore = min(notBefore, now + random.duration(from: .zero, to: .milliseconds(500)))
    repeated = 0
  }

  /// All connections went at one moment, for every instance of the fleet perhaps: do not knock in step.
  mutating func connectionsLost(at now: Instant, random: inout RandomSource) {
    wait(until: now + random.duration(from: .zero, to: .milliseconds(100)))
    limit = 1
  }
}
