import PoolCore

@testable import FleetSim

/// Forty real `warmgate serve` processes of four connections before one PostgreSQL, as its log told of their logins, and
/// what the machine was measured to be like between those runs.
///
/// Recorded on 22 November 2026: two processors (AMD EPYC, a virtual machine) that the server, the processes and now and
/// then others' work shared, Debian 12, PostgreSQL 15.20, TCP with SCRAM-SHA-256. To record anew:
///
///     swift build -c release --static-swift-stdlib --product warmgate
///     scripts/calibrate
///     WARMGATE_EXECUTABLE=$PWD/.build/release/warmgate scripts/test fleet --filter fitting   # its last two columns
///     time timeout 0.3 .build/release/warmgate serve --database-url postgres://x@127.0.0.1:1/x   # user + sys
enum FortyProcesses {
  struct Run {
    /// The most logins that arrived within 100 ms, counted from the first of them, or from when the server was there.
    var peak: Int
    /// From then until the last of 160 was done.
    var seconds: Double
  }

  /// All started at once, on 200 slots.
  static let rollout = [
    Run(peak: 27, seconds: 0.93), Run(peak: 18, seconds: 1.18), Run(peak: 26, seconds: 1.41),
    Run(peak: 27, seconds: 1.41), Run(peak: 24, seconds: 0.90), Run(peak: 22, seconds: 1.07),
    Run(peak: 19, seconds: 1.21), Run(peak: 28, seconds: 0.91),
  ]
  /// The server was killed, and started again after 10 s.
  static let outage = [
    Run(peak: 12, seconds: 4.95), Run(peak: 10, seconds: 4.46), Run(peak: 11, seconds: 4.63),
    Run(peak: 12, seconds: 4.83), Run(peak: 13, seconds: 3.75), Run(peak: 14, seconds: 3.87),
    Run(peak: 13, seconds: 4.18), Run(peak: 12, seconds: 4.62),
  ]

  /// The median of what `scripts/calibrate` said four times, with 4 to 32 at a time: 148 to 203.
  static let loginsPerSecond = 177.0
  /// Processor time of the executable with one login that is refused, as the last of the commands tells: 14 to 20 ms.
  static let startCost: Duration = .milliseconds(17)

  static var model: ServerModel {
    var model = ServerModel(slots: 200)
    model.loginsPerSecond = loginsPerSecond
    model.startCost = startCost
    return model
  }
}
