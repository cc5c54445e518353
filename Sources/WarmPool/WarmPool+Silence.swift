import Postgres

/// What callers wait for in vain is the first sign that the database is gone: long before the next scheduled probe.
extension WarmPool {
  /// Once a beat. If something came since the last one, the server lives, and a statement that takes its time is just
  /// slow. Otherwise the probe is asked at once because of a statement that has run since then, once for each.
  func listenForSilence() {
    var heard: UInt64 = 0
    var isWaiting = false
    for pooled in connections.values {
      let (arrivals, statement) = pooled.connection.assumeIsolated { ($0.arrivals, $0.statementUnderWay) }
      heard &+= arrivals
      guard let statement, statement == pooled.unanswered?.statement else {
        pooled.unanswered = statement.map { ($0, false) }
        continue
      }
      if pooled.unanswered?.isTold == false { isWaiting = true }
    }
    defer { self.heard = heard }
    guard isWaiting, heard == self.heard else { return }
    for pooled in connections.values { pooled.unanswered?.isTold = true }
    handle(.unanswered)
  }
}
