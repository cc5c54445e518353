import PoolCore
import Testing

@testable import FleetSim

/// Large fleets of ten connections each, through an outage of 30 s.
@Suite struct LargeFleetTests {
  private func outage(_ instances: Int, loginsPerSecond: Double) throws -> (Setup, Outcome) {
    let scenario = try #require(Scenario.known.first { $0.name == "outage" })
    var setup = Setup(instances: instances, connections: 10, scenario: scenario)
    setup.model.loginsPerSecond = loginsPerSecond
    return (setup, Strategy.warmgate.run(setup))
  }

  @Test("10,000 come back to 2,000 logins a second no harder than their jitter allows, and nothing is wasted")
  func bounds() throws {
    let (setup, outcome) = try outage(10_000, loginsPerSecond: 2000)
    // Full jitter up to 5 s: each knocks every 2.5 s on average.
    #expect(Double(outcome.peakArrivals) <= 1.1 * 10_000 / 2.5 / 10)
    // What the server needs for one connection of each, and a fifth.
    #expect(try #require(outcome.allHaveOne) <= .seconds(1.2 * 10_000 / 2000))
    #expect(outcome.wasted == 0 && outcome.timedOut == 0)
    #expect(outcome.violations == [] && outcome.ready == 10_000)
    #expect(try #require(outcome.allFull) <= setup.ideal.scaled(by: 1.2))
  }

  @Test(
    "a server too slow for the first wave is left alone until it is through with those that have gone",
    arguments: [(1000, 80.0), (500, 20)])
  func slow(instances: Int, loginsPerSecond: Double) throws {
    let (setup, outcome) = try outage(instances, loginsPerSecond: loginsPerSecond)
    #expect(outcome.violations == [] && outcome.ready == instances)
    #expect(try #require(outcome.allFull) <= setup.ideal.scaled(by: 3))
    #expect(outcome.wasted <= instances * 15)
  }
}
