import Foundation
import Synchronization

/// Lets a few tests at a time keep servers and sidecars busy. Swift Testing starts all tests of a process at once; a hundred of them
/// with a PostgreSQL each starve each other on a small machine until no bound on time means anything.
public enum MachineShare {
  /// Enough to use the machine while most of them wait for something to happen.
  private static let places = max(8, 4 * ProcessInfo.processInfo.activeProcessorCount)

  private struct State {
    var free = MachineShare.places
    /// First come, first served.
    var waiting: [CheckedContinuation<Void, Never>] = []
  }

  private static let state = Mutex(State())
  /// Whoever has a place already needs no second one; waiting for it could last for ever.
  @TaskLocal private static var hasPlace = false

  /// Runs `body` when it is its turn; at once inside of another turn.
  public static func use<Result>(_ body: () async throws -> Result) async rethrows -> Result {
    if hasPlace { return try await body() }
    await withCheckedContinuation { continuation in
      let isFree = state.withLock { state in
        if state.free > 0 {
          state.free -= 1
          return true
        }
        state.waiting.append(continuation)
        return false
      }
      if isFree { continuation.resume() }
    }
    defer { leave() }
    return try await $hasPlace.withValue(true, operation: body)
  }

  private static func leave() {
    let next = state.withLock { state -> CheckedContinuation<Void, Never>? in
      if !state.waiting.isEmpty { return state.waiting.removeFirst() }
      state.free += 1
      return nil
    }
    next?.resume()
  }
}
