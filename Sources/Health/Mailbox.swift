import CMicrohttpd
import Glibc
import Synchronization

/// Where other threads leave things for a listener's thread: answers to requests that wait, and the wish to stop.
/// The thread sleeps on `descriptor`, which is readable while there is something.
final class Mailbox: Sendable {
  struct Contents: Sendable {
    var answers: [(id: UInt64, response: Response)] = []
    var stops = false
  }

  private struct State: Sendable {
    var contents = Contents()
    var isClosed = false
  }

  /// An eventfd. Written to only under the lock and while not closed, so never after it is closed.
  let descriptor: Int32
  private let state = Mutex(State())

  /// Nil if the process has no file descriptor left.
  init?() {
    descriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
    if descriptor < 0 { return nil }
  }

  deinit { Glibc.close(descriptor) }

  /// From any thread. Ignored once closed: nobody is there to read it.
  func post(_ response: Response, for id: UInt64) {
    add { $0.answers.append((id, response)) }
  }

  func postStop() {
    add { $0.stops = true }
  }

  private func add(_ change: (inout Contents) -> Void) {
    state.withLock { state in
      if state.isClosed { return }
      change(&state.contents)
      // It can only fail when the counter is full, and then the thread is awake.
      var one: UInt64 = 1
      _ = write(descriptor, &one, MemoryLayout<UInt64>.size)
    }
  }

  /// Takes out what is there. Only the listener's thread calls it.
  func take() -> Contents {
    state.withLock { state in
      var count: UInt64 = 0
      _ = read(descriptor, &count, MemoryLayout<UInt64>.size)
      defer { state.contents.answers = [] }
      return state.contents
    }
  }

  func close() {
    state.withLock { $0.isClosed = true }
  }
}

/// One request that waits for its answer.
struct Ticket: Sendable {
  let id: UInt64
  let mailbox: Mailbox

  /// From any thread, at any time, once; a second answer is ignored.
  func answer(_ response: Response) { mailbox.post(response, for: id) }
}
