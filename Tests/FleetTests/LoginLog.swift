import Foundation
import Support

/// What a server's log says of the logins in a part of it. Lines begin `2025-01-31 12:00:00.123 UTC [pid] `.
struct LoginLog {
  /// When each connection arrived, in seconds.
  private(set) var arrivals: [Double] = []
  /// Those that were refused with 53300.
  private(set) var full = 0
  /// Those that were refused because the server was starting or stopping.
  private(set) var starting = 0
  private(set) var succeeded = 0
  /// When the server was last ready to accept connections, if it was started in this part of its log.
  private(set) var accepting: Double?
  private var lastSuccess: Double?
  /// The most that were neither admitted nor refused at one moment.
  private(set) var peakInFlight = 0

  /// What the tests themselves ask, as the superuser, is left out.
  init(_ text: Substring) {
    var underWay: Set<Substring> = []
    let own = Set(
      text.split(separator: "\n").filter { $0.contains(" user=postgres ") }.compactMap(Self.process))
    for line in text.split(separator: "\n") {
      guard let pid = Self.process(line), !own.contains(pid), let time = Self.seconds(line) else { continue }
      if line.contains("connection received:") {
        arrivals.append(time)
        underWay.insert(pid)
        peakInFlight = max(peakInFlight, underWay.count)
      } else if line.contains("connection authorized:") {
        succeeded += 1
        lastSuccess = time
        underWay.remove(pid)
      } else if line.contains("database system is ready to accept connections") {
        accepting = time
      } else if line.contains("FATAL") {
        if line.contains("state=53300") { full += 1 }
        if line.contains("state=57P03") { starting += 1 }
        underWay.remove(pid)
      }
    }
  }

  /// The most that arrived within a tenth of a second.
  var peakPerTenth: Int {
    var (most, first) = (0, 0)
    for (index, time) in arrivals.enumerated() {
      while time - arrivals[first] >= 0.1 { first += 1 }
      most = max(most, index - first + 1)
    }
    return most
  }

  /// When logins could begin: with the server, or with the first that arrived.
  private var calm: Double { accepting ?? arrivals.first ?? 0 }

  /// The most that arrived in a tenth of a second, counted from the calm on, as the simulator counts them.
  var peakPerStep: Int {
    let steps = arrivals.lazy.filter { $0 >= calm }.map { Int(($0 - calm) * 10) }
    return Dictionary(steps.map { ($0, 1) }, uniquingKeysWith: +).values.max() ?? 0
  }

  /// From the calm until the last login was done.
  var completion: Double { (lastSuccess ?? calm) - calm }

  private static func process(_ line: Substring) -> Substring? {
    line.split(separator: "]", maxSplits: 1).first?.split(separator: "[").last
  }

  private static func seconds(_ line: Substring) -> Double? {
    let parts = line.prefix(23).split(separator: " ")
    guard parts.count == 2, let day = parts[0].split(separator: "-").last.flatMap({ Double($0) }) else {
      return nil
    }
    let clock = parts[1].split(separator: ":").compactMap { Double($0) }
    return clock.count == 3 ? ((day * 24 + clock[0]) * 60 + clock[1]) * 60 + clock[2] : nil
  }
}

extension TestPostgres {
  /// What the log says of logins since it was so long.
  func logins(since length: Int) -> LoginLog {
    LoginLog(Substring(decoding: Array(logText.utf8.dropFirst(length)), as: UTF8.self))
  }

  var logLength: Int { logText.utf8.count }
}
