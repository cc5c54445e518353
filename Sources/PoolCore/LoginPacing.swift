/// When the next login may start, and how many at once. Every login of an instance passes through here.
struct LoginPacing: Sendable {
  private(set) var report = LoginReport()
  /// How many instances log in at the same server, as far as that was counted.
  var fleet: Int?
  /// Two at a time gain what there is to gain; more only multiply the latency of each. One, after a sign that the
  /// server has trouble, or a crowd before it.
  private(set) var limit = 1
  private(set) var notBefore: Instant = .origin
  /// There is a crowd before the server: only who has no connection at all tries before.
  private(set) var crowdedUntil: Instant = .origin
  /// While logins fail: when one is tried although nobody needs it.
  private(set) var trialDue: Instant = .origin
  /// The shortest login there was.
  private var best: Duration?
  private var firstFailure: Instant?
  private var repeated = 0
  /// Logins in a row that the server took and was not done with in time.
  private var timeouts = 0
  /// A fleet's member that had lost everything has its first connection again, and not yet all of its floor.
  private var isRecovering = false
  /// When the credentials were last seen to change.
  private var credentialsSince: Instant?

  /// Losses of everything that logins brought, each soon after the one before. A login that works is no reason for
  /// more haste if its session does not live: a pooler accepts logins for a server that is gone.
  private var losses = 0
  private var firstLoss: Instant?
  /// Since when no login has been begun that succeeded: until then, the end of a session is the rest of that loss, not
  /// another one. Nil if one has.
  private var unmendedLoss: Instant?
  /// Since when the probe has been answered on what logins brought; nil while it has not.
  private var provenSince: Instant?

  /// Sessions that lived this long are no continuation of an earlier loss.
  static let livedWell: Duration = .seconds(60)

  var isFailing: Bool { report.isFailing }

  mutating func wait(until: Instant) { notBefore = max(notBefore, until) }

  /// `patience`: how long a login may take. `isFirst`: there is no other connection that answers. `isLast`: nor is
  /// another one needed.
  mutating func succeeded(
    begun: Instant, took: Duration, patience: Duration, isFirst: Bool, isLast: Bool, at now: Instant,
    random: inout RandomSource
  ) {
    report.failuresInRow = 0
    report.lastSuccessAt = now
    report.lastTook = took
    firstFailure = nil
    repeated = 0
    timeouts = 0
    // It says nothing of what was lost while it was under way.
    if let unmendedLoss, begun <= unmendedLoss { return }
    unmendedLoss = nil
    notBefore = .origin
    let pause = Crowd.pause(took: took, patience: patience)
    crowdedUntil = pause > .zero ? now + pause.scaled(by: 0.7 + 0.6 * random.fraction()) : .origin
    let best = min(best ?? took, took)
    self.best = best
    let leave = Crowd.leave(fleet: fleet ?? 1)
    isRecovering = !isLast && leave > .zero && (isFirst || isRecovering)
    limit = isRecovering || Crowd.isSeen(took: took, best: best) ? 1 : 2
    // The others come first; after that, not all at once.
    if isRecovering {
      let share = isFirst ? 1 : 0.5
      crowdedUntil = max(crowdedUntil, now + leave.scaled(by: share * (0.5 + random.fraction())))
    }
  }

  /// The server has slots, whatever was refused before.
  mutating func roomFound() {
    if report.isFailing, report.lastFault?.sqlState == .tooManyConnections { notBefore = .origin }
  }

  /// The probe was answered.
  mutating func proven(at now: Instant) {
    if provenSince == nil { provenSince = now }
  }

  mutating func failed(_ fault: Fault, begun: Instant, at now: Instant, random: inout RandomSource) {
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
    let pace = RetryPace.after(fault, repeated: repeated, failingFor: failingFor, fleet: fleet)
    notBefore = now + pace.delay(failures: report.failuresInRow, failingFor: failingFor, random: &random)
    timeouts = fault.isOfCrowd ? timeouts + 1 : 0
    if timeouts > 0 {
      let retreat = Crowd.retreat(timeouts: timeouts, fleet: fleet, failingFor: failingFor + (now - begun))
      wait(until: now + random.duration(from: retreat.lowerBound, to: retreat.upperBound))
    }
    trialDue = now + random.duration(from: .seconds(30), to: .seconds(60))
    // It was begun with the credentials of before: its failure is none of the new ones.
    if let credentialsSince, begun <= credentialsSince { trySoon(at: now, random: &random) }
  }

  /// Something that stood in the way may be gone.
  mutating func credentialsChanged(at now: Instant, random: inout RandomSource) {
    credentialsSince = now
    trySoon(at: now, random: &random)
  }

  /// Soon, but not all instances at once.
  mutating func trySoon(at now: Instant, random: inout RandomSource) {
    let soon = now + random.duration(from: .zero, to: .milliseconds(500))
    notBefore = min(notBefore, soon)
    trialDue = min(trialDue, soon)
    repeated = 0
  }

  /// Everything that logins brought is gone, or the probe's connection has never answered. At one moment for every
  /// instance of the fleet perhaps: do not knock in step, and not faster than failed logins would.
  mutating func sessionsLost(_ fault: Fault, at now: Instant, random: inout RandomSource) {
    limit = 1
    defer { unmendedLoss = now }
    guard unmendedLoss == nil else { return }
    if let provenSince, now - provenSince >= Self.livedWell { losses = 0 }
    provenSince = nil
    losses += 1
    if losses == 1 { firstLoss = now }
    let failingFor = now - (firstLoss ?? now)
    let pace = RetryPace.after(fault, repeated: losses, failingFor: failingFor, fleet: fleet)
    wait(until: now + pace.delay(failures: losses, failingFor: failingFor, random: &random))
  }
}
