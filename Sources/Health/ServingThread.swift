import CMicrohttpd
import Glibc
import Synchronization

/// The thread of one listener.
final class ServingThread: Sendable {
  private let id = Mutex<pthread_t?>(nil)

  /// Starts `body` with `context`; `name` has at most 15 bytes. Returns 0, or what the system refused it with.
  func start(
    _ name: String, _ body: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer?,
    _ context: UnsafeMutableRawPointer
  ) -> Int32 {
    // The thread inherits the mask: signals are the process's business, and SIGPIPE must not reach it.
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    var started = pthread_t()
    let result = pthread_create(&started, nil, body, context)
    pthread_sigmask(SIG_SETMASK, &before, nil)
    guard result == 0 else { return result }
    pthread_setname_np(started, name)
    id.withLock { $0 = started }
    return 0
  }

  /// Has `ask` tell the thread to end, and waits until it has. From any thread but its own; a second call does nothing.
  func stop(_ ask: () -> Void) {
    guard let started = id.withLock({ $0.take() }) else { return }
    ask()
    pthread_join(started, nil)
  }
}
