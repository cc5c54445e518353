import PoolCore
import Testing

@testable import FleetSim

@Suite("the simulator, beside forty real processes") struct AgreementTests {
  private struct Figures: CustomStringConvertible {
    var peak: Double
    var seconds: Double

    var description: String { "\(peak) logins in 100 ms, all after \(seconds) s" }

    func agree(with other: Figures) -> Bool {
      abs(peak / other.peak - 1) <= 0.25 && abs(seconds / other.seconds - 1) <= 0.25
    }
  }

  private func median(_ values: [Double]) -> Double {
    let sorted = values.sorted()
    let (low, high) = ((sorted.count - 1) / 2, sorted.count / 2)
    return sorted.isEmpty ? .nan : (sorted[low] + sorted[high]) / 2
  }

  private func medians(_ runs: [FortyProcesses.Run]) -> Figures {
    Figures(peak: median(runs.map { Double($0.peak) }), seconds: median(runs.map(\.seconds)))
  }

  /// Of fifty runs.
  private func simulated(_ text: String, _ model: ServerModel) throws -> Figures {
    let scenario = try Scenario(name: "forty", text: text)
    let runs = try (UInt64(1)...50).map { seed in
      var setup = Setup(instances: 40, connections: 4, scenario: scenario, seed: seed)
      setup.model = model
      let outcome = Strategy.warmgate.run(setup)
      #expect(outcome.violations == [] && outcome.noSlots == 0)
      return FortyProcesses.Run(
        peak: outcome.peakArrivals, seconds: try #require(outcome.allFull).inSeconds)
    }
    return medians(runs)
  }

  private static let rollout = "at 0s start all"
  private static let outage = "at 0s warm all\nat 5s outage 10s starting 200ms"

  @Test(
    "agrees within a quarter on how hard they knock and when all are there", arguments: [rollout, outage])
  func agrees(scenario: String) throws {
    let real = medians(scenario == Self.rollout ? FortyProcesses.rollout : FortyProcesses.outage)
    let simulated = try simulated(scenario, FortyProcesses.model)
    #expect(simulated.agree(with: real), "simulated: \(simulated); real: \(real)")
  }

  @Test("would not agree if it left out what their start costs the machine, or were half as fast")
  func canFail() throws {
    let real = medians(FortyProcesses.rollout)
    var model = FortyProcesses.model
    model.startCost = .zero
    #expect(try !simulated(Self.rollout, model).agree(with: real))
    model = FortyProcesses.model
    model.loginsPerSecond /= 2
    #expect(try !simulated(Self.rollout, model).agree(with: real))
  }
}
