import Glibc
import PoolCore

/// What a moment of the pool's clock was on the calendar, as far as the calendar can be trusted now.
struct WallClock {
  private let now: Instant
  private let calendarNow: timespec

  /// `now` is this moment on the pool's clock.
  init(_ now: Instant) {
    self.now = now
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    calendarNow = time
  }

  /// RFC 3339 in UTC with milliseconds, such as `2025-11-21T02:05:09.123Z`.
  func time(of moment: Instant) -> String {
    let calendar = Instant(
      nanoseconds: Int64(calendarNow.tv_sec) &* 1_000_000_000 &+ Int64(calendarNow.tv_nsec))
    let nanoseconds = (calendar - (now - moment)).nanoseconds
    let seconds = nanoseconds / 1_000_000_000
    let milliseconds = max(0, nanoseconds % 1_000_000_000 / 1_000_000)
    var time = time_t(seconds)
    var parts = tm()
    guard gmtime_r(&time, &parts) != nil else { return "" }
    func padded(_ number: some BinaryInteger, _ width: Int) -> String {
      let digits = String(number)
      return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
    return padded(Int(parts.tm_year) + 1900, 4) + "-" + padded(parts.tm_mon + 1, 2) + "-"
      + padded(parts.tm_mday, 2)
      + "T" + padded(parts.tm_hour, 2) + ":" + padded(parts.tm_min, 2) + ":" + padded(parts.tm_sec, 2)
      + "." + padded(milliseconds, 3) + "Z"
  }
}
