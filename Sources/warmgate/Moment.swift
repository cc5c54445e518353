import Glibc
import PoolCore

/// The clock that deadlines of a command are measured with, and waiting on it.
enum Moment {
  static func now() -> Instant {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Instant(nanoseconds: Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec))
  }

  /// True when the descriptor is ready, or has an error that the next call will tell; false when the time is over.
  static func wait(for descriptor: Int32, _ events: Int32, until deadline: Instant) -> Bool {
    while true {
      let left = (deadline - now()).inNanoseconds
      if left <= 0 { return false }
      var waiting = pollfd(fd: descriptor, events: Int16(events), revents: 0)
      let count = poll(&waiting, 1, Int32(min(left / 1_000_000 + 1, 60_000)))
      if count > 0 { return true }
      if count < 0, errno != EINTR { return false }
    }
  }

  static func sleep(_ duration: Duration) {
    let nanoseconds = max(0, duration.inNanoseconds)
    var left = timespec(
      tv_sec: Int(nanoseconds / 1_000_000_000), tv_nsec: Int(nanoseconds % 1_000_000_000))
    var rest = timespec()
    while nanosleep(&left, &rest) != 0, errno == EINTR { left = rest }
  }
}
