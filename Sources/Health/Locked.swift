import Glibc

/// A value behind a lock.
///
/// `Synchronization.Mutex` would do, but ThreadSanitizer does not see its contended path (the library is not
/// instrumented, on Linux with Swift 6.3) and reports races that are none; pthread's lock it knows.
///
/// `@unchecked Sendable`: `value` is only touched in `withLock`, under the lock.
final class Locked<Value: Sendable>: @unchecked Sendable {
  private var value: Value
  private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)

  init(_ value: Value) {
    self.value = value
    lock.initialize(to: pthread_mutex_t())
    pthread_mutex_init(lock, nil)
  }

  deinit {
    pthread_mutex_destroy(lock)
    lock.deallocate()
  }

  func withLock<Result>(_ body: (inout Value) -> Result) -> Result {
    pthread_mutex_lock(lock)
    defer { pthread_mutex_unlock(lock) }
    return body(&value)
  }
}
