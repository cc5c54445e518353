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
  /// The most that were neither admitted nor refused at one moment.
  private(set) var peakInFlight = 0

  init(_ text: Substring) {
    var underWay: Set<Substring> = []
    for line in text.split(separator: "\n") {
      guard let pid = line.split(separator: "]", maxSplits: 1).first?.split(separator: "[").last,
        let time = Self.seconds(line)
      else { continue }
      if line.contains("connection received:") {
        arrivals.append(time)
        underWay.insert(pid)
        peakInFlight = max(peakInFlight, underWay.count)
      } else if line.contains("connection authorized:") {
        succeeded += 1
        underWay.remove(pid)
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

  /// From the first arrival to the last.
  var span: Double { (arrivals.last ?? 0) - (arrivals.first ?? 0) }

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
