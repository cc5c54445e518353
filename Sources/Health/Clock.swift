import Glibc
import PoolCore

/// The listener's own time: it goes on evenly and means nothing outside this process. What snapshots say is never
/// compared with it.
func monotonicNow() -> Instant {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Instant(nanoseconds: Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec))
}
