import Foundation
import PoolCore
import Testing

@testable import FleetSim

/// Small fleets through whatever may happen to them, each from a seed of its own: `WARMGATE_TEST_FLEETS=n` so many;
/// `WARMGATE_TEST_SEED=n` runs one again.
@Suite struct RandomisedTests {
  private static let environment = ProcessInfo.processInfo.environment

  @Test(
    "whatever happens, no instance is above its maximum, and each is ready in the end where there is room")
  func fleets() {
    let replayed = Self.environment["WARMGATE_TEST_SEED"].flatMap(UInt64.init)
    let count = Self.environment["WARMGATE_TEST_FLEETS"].flatMap(UInt64.init) ?? 10_000
    for seed in replayed.map({ [$0] }) ?? Array(1...max(1, count)) {
      let setup = Self.setup(seed)
      let outcome = Strategy.warmgate.run(setup)
      let isWell = outcome.ready == outcome.instances && outcome.instances == setup.instances
      if outcome.violations.isEmpty, isWell { continue }
      Issue.record(
        "WARMGATE_TEST_SEED=\(seed): \(outcome.ready)/\(outcome.instances) ready, \(outcome.violations), \(setup)"
      )
    }
  }

  /// A fleet, a server with room for it and for the surge of a rollout, and up to four things that happen.
  private static func setup(_ seed: UInt64) -> Setup {
    var random = RandomSource(seed: seed)
    func below(_ seconds: Int) -> Duration {
      .milliseconds(Int.random(in: 1...seconds * 1000, using: &random))
    }
    let instances = Int.random(in: 1...6, using: &random)
    let connections = Int.random(in: 1...4, using: &random)
    var parts: [Scenario.Part] = []
    if Bool.random(using: &random) {
      parts.append(.init(at: .zero, .warm(.all)))
    } else {
      for _ in 0..<instances { parts.append(.init(at: below(20), .start(.count(1)))) }
    }
    for _ in 0..<Int.random(in: 1...4, using: &random) {
      let share = Share.percent(Int.random(in: 1...100, using: &random))
      let what: Happening =
        switch Int.random(in: 0..<6, using: &random) {
        case 0: .outage(below(40), starting: below(10))
        case 1: .restart(below(10), starting: below(10))
        case 2: .occupy(share, for: below(60))
        case 3: .slow(Double(Int.random(in: 2...50, using: &random)), for: below(60))
        case 4: .partition(share, for: below(40))
        default: .roll(share)
        }
      parts.append(.init(at: below(60), what))
    }
    let scenario = Scenario(name: "seed-\(seed)", summary: "", parts: parts)
    var setup = Setup(instances: instances, connections: connections, scenario: scenario, seed: seed)
    // Without a rollout there may be not one slot to spare.
    let rolls = parts.contains { if case .roll = $0.what { true } else { false } }
    let spare = rolls ? instances * connections : Int.random(in: 0...instances * connections, using: &random)
    setup.model.slots = instances * connections + spare + setup.model.reserved
    setup.model.loginsPerSecond = Double(Int.random(in: 5...500, using: &random))
    return setup
  }
}
