import PoolCore
import Testing

@testable import FleetSim

/// Ten thousand instances of ten connections, through an outage of 30 s.
@Suite struct LargeFleetTests {
  private func outcome(loginsPerSecond: Double, seed: UInt64 = 1) throws -> (Setup, Outcome) {
    let scenario = try #require(Scenario.known.first { $0.name == "outage" })
    var setup = Setup(instances: 10_000, connections: 10, scenario: scenario, seed: seed)
    setup.model.loginsPerSecond = loginsPerSecond
    return (setup, Strategy.warmgate.run(setup))
  }

  /// What full jitter up to 5 s allows: each knocks every 2.5 s on average.
  private static let allowed = 10_000 / 2.5 / 10

  @Test(
    "they knock no harder than their jitter allows, each has a connection nearly as soon as the server can, nothing is wasted",
    arguments: [1500.0, 2000, 2400])
  func bounds(loginsPerSecond: Double) throws {
    let (setup, outcome) = try outcome(loginsPerSecond: loginsPerSecond)
    #expect(Double(outcome.peakArrivals) <= 1.1 * Self.allowed)
    let ideal = Duration.seconds(1).scaled(by: 10_000 / loginsPerSecond)
    // A server that is quicker than the jitter waits for them.
    #expect(try #require(outcome.allHaveOne) <= max(ideal.scaled(by: 1.2), .seconds(6)))
    #expect(outcome.wasted == 0 && outcome.timedOut == 0)
    #expect(outcome.violations == [] && outcome.ready == 10_000)
    #expect(try #require(outcome.allFull) <= setup.ideal.scaled(by: 1.3))
  }

  @Test("to a server that is too slow for their first wave they come back too, after a retreat")
  func slow() throws {
    let (setup, outcome) = try outcome(loginsPerSecond: 400)
    #expect(outcome.violations == [] && outcome.ready == 10_000)
    #expect(try #require(outcome.allFull) <= setup.ideal.scaled(by: 2.5))
    // A quarter of what is needed, once.
    #expect(outcome.wasted <= 25_000)
  }
}
