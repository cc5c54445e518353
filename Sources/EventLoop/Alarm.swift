import CLinux
import Glibc
import PoolCore

/// The one timer of a loop in the kernel.
///
/// A timerfd, not the timeout of `epoll_pwait2`: that one counts `CLOCK_MONOTONIC`, which stands still while the
/// machine is suspended, and would have a loop sleep through its deadlines by as long as the suspension; and it
/// needs Linux 5.11. The price, a system call to set it, is paid only for a deadline earlier than the one set: after a
/// cancelled timer the alarm rings in vain once, which is cheaper than setting it anew for every timeout that a
/// query did not need.
final class Alarm {
  let descriptor: Int32
  private var setTo = Instant.distantFuture

  init() throws(SystemError) {
    descriptor = timerfd_create(CLOCK_BOOTTIME, Int32(TFD_CLOEXEC | TFD_NONBLOCK))
    if descriptor < 0 { throw SystemError("timerfd_create", errno) }
  }

  deinit { close(descriptor) }

  /// Wakes the loop at `deadline`, or earlier.
  func ring(at deadline: Instant) {
    guard deadline < setTo else { return }
    setTo = deadline
    // Zero would switch it off.
    let (seconds, nanoseconds) = max(deadline.nanoseconds, 1).quotientAndRemainder(dividingBy: 1_000_000_000)
    var time = itimerspec()
    time.it_value = timespec(tv_sec: Int(seconds), tv_nsec: Int(nanoseconds))
    timerfd_settime(descriptor, Int32(TFD_TIMER_ABSTIME), &time, nil)
  }

  /// It is watched edge-triggered and not read: setting it anew clears it.
  func hasRung() { setTo = .distantFuture }
}
