/// Fails fast when there is nothing to wait for: after five failures in a row, over at least five seconds, with no
/// connection left, callers are refused at once with the real cause, rather than each waiting for its deadline.
///
/// It changes nothing about connecting. The scout goes on at its own pace, and is all there is to half-open: callers
/// are refused then too, because one attempt that may hang is no reason to let a crowd wait for it. An answered probe
/// closes the breaker.
struct Breaker: Sendable {
  static let failuresToOpen = 5
  static let timeToOpen: Duration = .seconds(5)

  var state = BreakerReport.State.closed
  var since: Instant
  /// Logins that failed, and sessions of scouts that never answered, since the probe was last answered.
  private(set) var failures = 0
  private var firstFailure: Instant?
  /// A scout has logged in, and its session has not answered yet.
  private var awaitsAnswer = false

  init(at now: Instant) { since = now }

  mutating func loginFailed(at now: Instant) {
    failures += 1
    if firstFailure == nil { firstFailure = now }
  }

  mutating func scoutArrived() { awaitsAnswer = true }

  mutating func sessionsLost(at now: Instant) {
    guard awaitsAnswer else { return }
    awaitsAnswer = false
    loginFailed(at: now)
  }

  mutating func probeAnswered() {
    failures = 0
    firstFailure = nil
    awaitsAnswer = false
  }

  func isDue(at now: Instant) -> Bool {
    guard failures >= Self.failuresToOpen, let firstFailure else { return false }
    return now - firstFailure >= Self.timeToOpen
  }
}

extension PoolCore {
  mutating func considerBreaker(at now: Instant) {
    if breaker.state == .closed {
      guard breaker.isDue(at: now), isServing, members.working == 0 else { return }
    }
    let isTrying = members.connecting > 0 || members.working > 0
    let next: BreakerReport.State =
      !isServing || breaker.failures == 0 ? .closed : isTrying ? .halfOpen : .open
    if next != breaker.state {
      let from = breaker.state
      breaker.state = next
      breaker.since = now
      effects.append(.breaker(breakerReport, from: from))
    }
    guard next != .closed else { return }
    while let (lease, _) = queue.next() { refuse(lease, circuitOpen(at: now)) }
  }

  func circuitOpen(at now: Instant) -> AcquireRefusal {
    let isTrying = members.connecting > 0 || members.working > 0
    return .circuitOpen(because: realCause, nextAttempt: isTrying ? nil : max(.zero, logins.notBefore - now))
  }

  var breakerReport: BreakerReport {
    BreakerReport(
      state: breaker.state, since: breaker.since, because: breaker.state == .closed ? nil : realCause)
  }

  private var realCause: Fault? { logins.isFailing ? logins.report.lastFault : probe.lastFault }
}
