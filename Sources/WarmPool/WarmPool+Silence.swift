import Postgres

/// What callers wait for in vain is the first sign that the database is gone: long before the next scheduled probe.
extension WarmPool {
  /// Once a beat. If something came since the last one, the server lives, and a statement that takes its time is just
  /// slow. Otherwise the probe is asked at once because of a statement that has run since then, once for each.
  func listenForSilence() {
    var heard: UInt64 = 0
    var isWaiting = false
    for index in connections.values.indices {
      let (arrivals, statement) = connections.values[index].connection.assumeIsolated {
        ($0.arrivals, $0.statementUnderWay)
      }
      heard &+= arrivals
      let before = connections.values[index].unanswered
      guard let statement, statement == before?.statement else {
        connections.values[index].unanswered = statement.map { ($0, false) }
        continue
      }
      if before?.isTold == false { isWaiting = true }
    }
    defer { self.heard = heard }
    guard isWaiting, heard == self.heard else { return }
    for index in connections.values.indices { connections.values[index].unanswered?.isTold = true }
    handle(.unanswered)
  }
}
