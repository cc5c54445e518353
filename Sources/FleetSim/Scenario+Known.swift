import PoolCore

extension Scenario {
  /// Those that can be called by their names.
  public static let known: [Scenario] = [
    coldStart, rollout, outage, restart, failover, leakAndRelease, slowDatabase, partialPartition,
  ]

  private static let warm = Part(at: .zero, .warm(.all))

  static let coldStart = Scenario(
    name: "cold-start", summary: "every instance starts at the same moment, without a connection",
    parts: [Part(at: .zero, .start(.all))])

  static let rollout = Scenario(
    name: "rollout", summary: "all instances are replaced, a quarter of them at a time",
    parts: [warm, Part(at: .seconds(5), .roll(.percent(25)))])

  static let outage = Scenario(
    name: "outage", summary: "the server is gone for 30 s, and all sessions with it",
    parts: [warm, Part(at: .seconds(5), .outage(.seconds(30), starting: .zero))])

  static let restart = Scenario(
    name: "restart", summary: "an orderly restart of 3 s, then 10 s of recovery",
    parts: [warm, Part(at: .seconds(5), .restart(.seconds(3), starting: .seconds(10)))])

  static let failover = Scenario(
    name: "failover",
    summary: "the primary dies, a standby takes over its address after 8 s, its caches cold for 20 s",
    parts: [
      warm, Part(at: .seconds(5), .outage(.seconds(8), starting: .seconds(1))),
      Part(at: .seconds(14), .slow(3, for: .seconds(20))),
    ])

  static let leakAndRelease = Scenario(
    name: "leak-and-release",
    summary:
      "all instances start while others hold 9 of 10 slots, which they leak for 60 s",
    parts: [
      Part(at: .zero, .occupy(.percent(90), for: .seconds(60))), Part(at: .seconds(1), .start(.all)),
    ])

  static let slowDatabase = Scenario(
    name: "slow-database",
    summary: "all instances start while a login takes ten times as long, for 60 s",
    parts: [Part(at: .zero, .slow(10, for: .seconds(60))), Part(at: .seconds(1), .start(.all))])

  static let partialPartition = Scenario(
    name: "partial-partition", summary: "a third of the instances has no network for 30 s",
    parts: [warm, Part(at: .seconds(5), .partition(.percent(34), for: .seconds(30)))])
}
