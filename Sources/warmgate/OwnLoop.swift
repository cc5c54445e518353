import EventLoop
import Synchronization

/// Runs asynchronous work on a loop of its own, and waits for what it gives.
func onOwnLoop<Value: Sendable>(
  _ name: String, _ work: @escaping @Sendable (EventLoop) async -> Value
) throws(SystemError) -> Value {
  let loop = try EventLoop(name: name)
  try loop.start()
  let result = Box<Value>()
  Task(executorPreference: LoopTaskExecutor(loop)) {
    let value = await work(loop)
    result.value.withLock { $0 = value }
    loop.stop()
  }
  loop.join()
  // The loop is stopped after that alone.
  guard let value = result.value.withLock({ $0 }) else { throw SystemError("the loop has ended", 0) }
  return value
}

/// Carries the result from the loop's thread to the one that waits for its end.
private final class Box<Value: Sendable>: Sendable {
  let value = Mutex<Value?>(nil)
}
