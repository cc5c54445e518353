import Glibc

/// A moment of the wall clock, for people and log collectors.
struct Timestamp: Hashable, Sendable {
  var seconds: Int
  var milliseconds: Int

  init(seconds: Int, milliseconds: Int) {
    self.seconds = seconds
    self.milliseconds = milliseconds
  }

  static func now() -> Timestamp {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Timestamp(seconds: time.tv_sec, milliseconds: time.tv_nsec / 1_000_000)
  }

  /// RFC 3339 in UTC with milliseconds: `2026-11-21T02:20:50.123Z`.
  var text: String {
    var seconds = seconds
    var parts = tm()
    guard gmtime_r(&seconds, &parts) != nil else { return "1970-01-01T00:00:00.000Z" }
    let date = [
      (Int(parts.tm_year) + 1900).digits(4), (Int(parts.tm_mon) + 1).digits(2), Int(parts.tm_mday).digits(2),
    ]
    let time = [Int(parts.tm_hour), Int(parts.tm_min), Int(parts.tm_sec)].map { $0.digits(2) }
    return "\(date.joined(separator: "-"))T\(time.joined(separator: ":")).\(milliseconds.digits(3))Z"
  }
}

extension Int {
  fileprivate func digits(_ count: Int) -> String {
    let text = String(self)
    return String(repeating: "0", count: Swift.max(0, count - text.count)) + text
  }
}
