import EventLoop
import PoolCore
import Postgres

/// Leaks at the server: now and then, after a good probe, its connection is asked for sessions that are idle in a
/// transaction. Nothing of this decides anything.
extension WarmPool {
  struct SessionWatch {
    let question: SessionQuestion
    var next: Instant
    /// It is asked less and less often where it gets no answer: errors only fill the server's log.
    static let longestInterval: Duration = .seconds(600)
    /// Of one reading; all of them are counted.
    static let mostReports = 10

    var report = SessionLeaks()
    var failuresInRow = 0
  }

  /// After the probe was answered on this connection, if it still is the probe's.
  func askForSessions(_ id: ConnectionID) {
    let now = EventLoop.now()
    guard now >= sessionWatch.next, aside == nil, core.phase == .ready,
      core.probeConnection == id, questions[id] == nil, let connection = connections[id]?.connection
    else { return }
    let before = sessionWatch.report.limits
    askAside(on: connection) { pool in
      do throws(QueryError) {
        pool.took(try await pool.sessionWatch.question.ask(connection))
        pool.sessionWatch.failuresInRow = 0
      } catch {
        // Of a connection that has ended, others tell.
        if error.connectionUsable {
          pool.sessionWatch.failuresInRow += 1
          let wasLate = error.fault.sqlState == .queryCanceled
          pool.sessionWatch.report.limits = [wasLate ? .noAnswer : .failed(error.fault)]
        }
      }
      let interval = pool.sessionWatch.question.interval
      let doubled = interval.scaled(by: Double(1 << min(pool.sessionWatch.failuresInRow, 10)))
      pool.sessionWatch.next = EventLoop.now() + min(doubled, max(interval, SessionWatch.longestInterval))
      let limits = pool.sessionWatch.report.limits
      if limits != before, !limits.isEmpty { pool.tell?(.sessionsHidden(limits)) }
      pool.needsPublishing = true
    }
  }

  private func took(_ reading: SessionReading) {
    let (found, ended) = sessionWatch.report.take(reading, at: EventLoop.now())
    for leak in found.prefix(SessionWatch.mostReports) { tell?(.sessionLeaked(leak)) }
    for leak in ended.prefix(SessionWatch.mostReports) { tell?(.sessionLeakEnded(leak)) }
  }
}
