import EventLoop
import PoolCore
import Synchronization

/// Runs a call that blocks (a resolver) beside the loop, and gives up waiting for it after `limit`: nil then. The call
/// itself goes on until it returns.
func blockingCall<Result: Sendable>(
  on loop: EventLoop, within limit: Duration, _ work: @escaping @Sendable () -> Result
) async -> Result? {
  let answer = Answer<Result>()
  return await withCheckedContinuation { (continuation: CheckedContinuation<Result?, Never>) in
    answer.expect(continuation)
    Task.detached { answer.give(work()) }
    loop.post { loop.schedule(at: EventLoop.now() + limit) { answer.give(nil) } }
  }
}

/// Resumes its continuation with whatever comes first.
private final class Answer<Result: Sendable>: Sendable {
  private let continuation = Mutex<CheckedContinuation<Result?, Never>?>(nil)

  func expect(_ continuation: CheckedContinuation<Result?, Never>) {
    self.continuation.withLock { $0 = continuation }
  }

  func give(_ result: Result?) {
    let waiting = continuation.withLock { continuation in
      defer { continuation = nil }
      return continuation
    }
    waiting?.resume(returning: result)
  }
}
