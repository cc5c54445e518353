import EventLoop
import Synchronization

/// Runs `body` with a loop of its own, which has ended when this returns.
func withLoop<Result>(_ body: (EventLoop) async throws -> Result) async throws -> Result {
  let loop = try EventLoop(name: "test")
  try loop.start()
  defer {
    loop.stop()
    loop.join()
  }
  return try await body(loop)
}

extension EventLoop {
  /// Runs `body` on the loop and returns what it returns.
  func on<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
    await withCheckedContinuation { continuation in
      post { continuation.resume(returning: body()) }
    }
  }

  /// Runs `body` on the loop and waits until it has called `done`.
  func until(_ body: @escaping @Sendable (_ done: @escaping @Sendable () -> Void) -> Void) async {
    await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
      post { body { continuation.resume() } }
    }
  }
}

/// What handlers saw, in order.
final class Journal<Entry: Sendable>: Sendable {
  private let list = Mutex<[Entry]>([])
  func note(_ entry: Entry) { list.withLock { $0.append(entry) } }
  var entries: [Entry] { list.withLock { $0 } }
}
