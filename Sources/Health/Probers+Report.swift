import PoolCore

extension Probers.Prober {
  func json(at now: Instant) -> JSON {
    [
      "address": .string(address), "dialect": .string(dialect.rawValue),
      "interval": interval.map { .seconds($0) } ?? .null, "age": .seconds(now - lastSeen), "told": .int(told),
      "state": .string(state.rawValue),
    ]
  }

  /// `10.0.0.7 (http, every 2.0s): told 1 of 3`.
  func line(mustSee: Int) -> String {
    let pace = interval.map { ", every \($0.inTenths)" } ?? ""
    return "\(address) (\(dialect.rawValue)\(pace)): told \(told) of \(mustSee)"
  }
}

extension Probers {
  /// Those that a drain had to tell, as its answer has them: empty if there are none.
  func drained(at now: Instant) -> (told: Int, notTold: [Prober]) {
    let all = all(at: now)
    return (all.count { $0.state == .told }, all.filter { $0.state == .active })
  }

  /// For the answer to a drain: who may still send traffic comes first.
  func drainText(at now: Instant) -> String {
    let (told, notTold) = drained(at: now)
    if notTold.isEmpty { return told == 0 ? "" : "; load balancers that noticed: \(told)" }
    return "; not told in time, and may still send traffic: "
      + notTold.prefix(5).map { $0.line(mustSee: mustSee) }.joined(separator: ", ")
      + (notTold.count > 5 ? " and \(notTold.count - 5) more" : "")
      + "; give the drain longer, or ask more often"
  }
}
