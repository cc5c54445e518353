import CLinux
import Glibc
import Synchronization

/// A unit of work for a loop.
enum Work {
  /// Of an actor that lives on the loop.
  case job(UnownedJob)
  /// Of a task that prefers it.
  case taskJob(UnownedJob, UnownedTaskExecutor)
  case closure(@Sendable () -> Void)
}

/// Where other threads leave work for a loop, and wake it if it sleeps.
///
/// Wake-ups are coalesced: the eventfd is written only when the loop has announced that it sleeps, and by the first
/// who finds it so.
final class Inbox: Sendable {
  private struct State {
    var work: [Work] = []
    var sleeping = false
    var stopped = false

    /// Whether the caller has to wake the loop.
    mutating func wake() -> Bool {
      defer { sleeping = false }
      return sleeping
    }
  }

  let descriptor: Int32
  private let state = Mutex(State())

  init() throws(SystemError) {
    descriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
    if descriptor < 0 { throw SystemError("eventfd", errno) }
  }

  deinit { close(descriptor) }

  /// Any thread.
  func put(_ work: Work) {
    let sleeping = state.withLock { state in
      state.work.append(work)
      return state.wake()
    }
    if sleeping { ring() }
  }

  /// Any thread.
  func stop() {
    let sleeping = state.withLock { state in
      state.stopped = true
      return state.wake()
    }
    if sleeping { ring() }
  }

  /// Moves what has arrived behind what is in `backlog`; false once stopped. By the loop, awake.
  func take(into backlog: inout Backlog) -> Bool {
    state.withLock { state in
      state.sleeping = false
      backlog.append(contentsOf: &state.work)
      return !state.stopped
    }
  }

  /// By the loop, before it blocks; false if it must not, because work has arrived meanwhile.
  func announceSleep() -> Bool {
    state.withLock { state in
      state.sleeping = state.work.isEmpty && !state.stopped
      return state.sleeping
    }
  }

  private func ring() {
    // Cannot fail: the counter would have to reach 2^64, and is watched edge-triggered, so it is never read.
    eventfd_write(descriptor, 1)
  }
}
