import PoolCore
import Testing

@testable import FleetSim

/// Two hundred instances of ten connections, through an outage of 30 s, on a server of 150 logins a second: what the
/// pool promises about storms.
@Suite struct StormTests {
  private func setup(loginsPerSecond: Double = 150) throws -> Setup {
    let scenario = try #require(Scenario.known.first { $0.name == "outage" })
    var setup = Setup(instances: 200, connections: 10, scenario: scenario)
    setup.model.loginsPerSecond = loginsPerSecond
    return setup
  }

  @Test("after an outage nothing is wasted, arrivals are spread, and the server is never without work")
  func ours() throws {
    let outcome = Strategy.warmgate.run(try setup())
    #expect(outcome.wasted == 0)
    #expect(outcome.peakArrivals <= 35)
    #expect(try #require(outcome.timesIdeal) <= 1.05)
    #expect(try #require(outcome.allHaveOne) <= .milliseconds(6500))
    #expect(outcome.ready == 200)
  }

  @Test("a server of 40 logins a second, for which 200 instances are a crowd, works for nobody who has left")
  func crowd() throws {
    let outcome = Strategy.warmgate.run(try setup(loginsPerSecond: 40))
    #expect(outcome.wasted == 0)
    #expect(outcome.peakArrivals <= 35)
    #expect(try #require(outcome.timesIdeal) <= 1.05)
  }

  @Test(
    "every other pool comes in larger waves, wastes no less and is full no sooner",
    arguments: Strategy.allCases.filter { $0 != .warmgate })
  func others(strategy: Strategy) throws {
    var setup = try setup()
    let ours = Strategy.warmgate.run(setup)
    setup.limit = .seconds(40)
    let other = strategy.run(setup)
    #expect(other.peakArrivals > ours.peakArrivals)
    #expect(other.wasted >= ours.wasted)
    #expect(other.allFull ?? .seconds(3600) >= ours.allFull ?? .zero)
  }
}
