import Foundation

/// What the kernel has counted for a process, from /proc (proc(5)).
public struct ProcessUsage: Sendable {
  /// Resident memory in bytes.
  public let rss: Int
  /// User and system time of all its threads.
  public let cpuTime: Duration
  /// How often its living threads gave up the processor by themselves: one for each wake-up that follows.
  public let voluntarySwitches: Int
  public let threads: Int
  public let openFiles: Int

  /// Nil if there is no such process.
  public init?(of pid: pid_t) {
    guard let status = try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8),
      let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
      let name = stat.lastIndex(of: ")"),
      let kilobytes = Self.field("VmRSS", in: status)
    else { return nil }
    // After the name: state is field 3, utime 14, stime 15.
    let fields = stat[name...].dropFirst(2).split(separator: " ")
    guard fields.count > 12, let user = Int(fields[11]), let system = Int(fields[12]) else { return nil }
    rss = kilobytes * 1024
    cpuTime = .seconds(Double(user + system) / Double(sysconf(Int32(_SC_CLK_TCK))))
    let tasks = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/task")) ?? []
    threads = tasks.count
    voluntarySwitches = tasks.reduce(0) { sum, task in
      let text = try? String(contentsOfFile: "/proc/\(pid)/task/\(task)/status", encoding: .utf8)
      return sum + (text.flatMap { Self.field("voluntary_ctxt_switches", in: $0) } ?? 0)
    }
    openFiles = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").count) ?? 0
  }

  private static func field(_ name: String, in text: String) -> Int? {
    for line in text.split(separator: "\n") where line.hasPrefix(name + ":") {
      return line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }
    }
    return nil
  }
}
