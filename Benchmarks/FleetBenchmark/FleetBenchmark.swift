import FleetSim
import Glibc
import PoolCore

/// What the fleet simulator costs as the fleet grows: 100, 1,000 and 10,000 instances with 10 connections each, through
/// an outage of 30 s. The server grows with the fleet, so that the same story is told of each; then the largest once more
/// on the server that does not. Exits 1 if that takes more than `mostSeconds` or `mostMemory`, or the cost grows faster
/// than n log n times `bound`.
@main
struct FleetBenchmark {
  static let mostSeconds = 60.0
  static let mostMemory = 1024.0
  /// A hundred pools fit into a processor's cache, ten thousand do not.
  static let bound = 1.5
  /// As many as 200 instances have in the README.
  static let loginsPerInstance = 0.75

  static func main() {
    print("N instances × 10 connections through an outage of 30 s, in virtual time\n")
    print(" instances   logins/s      story      took   memory   events  ns/event  to n log n")
    var first: Double?
    var ratio = 0.0
    for instances in [100, 1000, 10_000] {
      let cost = measure(instances, rate: Double(instances) * loginsPerInstance)
      let perUnit = cost / (Double(instances) * log(Double(instances)))
      first = first ?? perUnit
      ratio = perUnit / (first ?? perUnit)
      print(padded(hundredths(ratio), 12))
    }
    let seconds = measure(10_000, rate: ServerModel(slots: 0).loginsPerSecond)
    print(
      "\n\nat most \(Int(mostSeconds)) s and \(Int(mostMemory)) MiB for the last, at most \(bound) to n log n"
    )
    let isGood = seconds <= mostSeconds && memory <= mostMemory && ratio <= bound
    if !isGood { print("ABOVE") }
    exit(isGood ? 0 : 1)
  }

  /// Prints all of the row but its end; gives the seconds that it took, the least of three if that is not long.
  static func measure(_ instances: Int, rate: Double) -> Double {
    guard let outage = Scenario.known.first(where: { $0.name == "outage" }) else { exit(2) }
    var setup = Setup(instances: instances, connections: 10, scenario: outage)
    setup.model.loginsPerSecond = rate
    var (least, outcome) = (Double.infinity, Strategy.warmgate.run(setup))
    for _ in 0..<3 where least == .infinity || least < 5 {
      let took = ContinuousClock().measure { outcome = Strategy.warmgate.run(setup) }
      least = min(least, took.inSeconds)
    }
    let perEvent = least * 1e9 / Double(max(1, outcome.events))
    let cells = [
      ("\(instances)", 10), ("\(Int(rate))", 11), ("\(Int(outcome.ended.inSeconds)) s", 11),
      ("\(hundredths(least)) s", 10), ("\(Int(memory)) MiB", 9), ("\(outcome.events)", 9),
      ("\(Int(perEvent))", 10),
    ]
    print(cells.map { padded($0.0, $0.1) }.joined(), terminator: "")
    fflush(nil)
    return least
  }

  /// The most that the process has had, in MiB.
  static var memory: Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return Double(usage.ru_maxrss) / 1024
  }

  static func hundredths(_ number: Double) -> String {
    let hundredths = Int((number * 100).rounded())
    return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
  }

  static func padded(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.utf8.count)) + text
  }
}
