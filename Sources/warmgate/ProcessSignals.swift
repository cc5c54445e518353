import CLinux
import Glibc
import PoolCore

/// SIGTERM and SIGINT as something to wait for, instead of something that interrupts.
///
/// They are blocked before any thread exists, so every thread inherits the block and none is ended by them; as PID 1 of
/// a container the kernel would drop them otherwise. The main thread does nothing but wait here, so a signal is
/// heard even while the loop is stuck.
struct ProcessSignals {
  enum Wake {
    /// SIGTERM or SIGINT, by name.
    case signal(String)
    /// `wake` was called.
    case woken
    case timedOut
    /// SIGUSR2, which only debug builds listen to: a test wants the loop to be stuck.
    case blockLoop
  }

  private let signals: Int32
  private let wakeUps: Int32

  /// Blocks the signals in the calling thread. Must be called before any thread is started. SIGPIPE is ignored: a
  /// client that went away is an error of its write, not of ours.
  init?() {
    var set = sigset_t()
    sigemptyset(&set)
    sigaddset(&set, SIGTERM)
    sigaddset(&set, SIGINT)
    #if DEBUG
      sigaddset(&set, SIGUSR2)
    #endif
    guard pthread_sigmask(SIG_BLOCK, &set, nil) == 0 else { return nil }
    signal(SIGPIPE, SIG_IGN)
    signals = signalfd(-1, &set, Int32(SFD_CLOEXEC | SFD_NONBLOCK))
    wakeUps = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
    guard signals >= 0, wakeUps >= 0 else { return nil }
  }

  /// A function for any thread that makes `next` return `.woken`.
  var wake: @Sendable () -> Void {
    let descriptor = wakeUps
    return {
      var one: UInt64 = 1
      _ = write(descriptor, &one, MemoryLayout<UInt64>.size)
    }
  }

  /// The next signal, wake-up or deadline, whichever is first.
  func next(until deadline: Instant?, now: () -> Instant) -> Wake {
    while true {
      var descriptors = [
        pollfd(fd: signals, events: Int16(POLLIN), revents: 0),
        pollfd(fd: wakeUps, events: Int16(POLLIN), revents: 0),
      ]
      var timeout: Int32 = -1
      if let deadline {
        let left = (deadline - now()).inNanoseconds
        if left <= 0 { return .timedOut }
        timeout = Int32(clamping: left / 1_000_000 + 1)
      }
      guard poll(&descriptors, nfds_t(descriptors.count), timeout) > 0 else { continue }
      var info = signalfd_siginfo()
      if read(signals, &info, MemoryLayout<signalfd_siginfo>.size) > 0 {
        switch Int32(bitPattern: info.ssi_signo) {
        case SIGUSR2: return .blockLoop
        case SIGINT: return .signal("SIGINT")
        default: return .signal("SIGTERM")
        }
      }
      var count: UInt64 = 0
      if read(wakeUps, &count, MemoryLayout<UInt64>.size) > 0 { return .woken }
    }
  }
}
