import Support
import Synchronization
import WarmPool

/// Tasks that use a pool without pause, remember what they were told, and check every answer.
final class Load: Sendable {
  static let tasks = 64
  /// Each operation is cancelled after this long.
  static let deadline: Duration = .seconds(6)

  struct Tally: Sendable {
    var succeeded = 0
    var failures: [String: Int] = [:]
    /// By transfer.
    var claims: [Int: Operation.Claim] = [:]
    var wrongAnswers: [String] = []
    var longest: Duration = .zero
    var firstSuccess: ContinuousClock.Instant?

    var failed: Int { failures.values.reduce(0, +) }
  }

  private struct State: Sendable {
    var tally = Tally()
    /// Successes begun from here on count as those after the fault.
    var mark: ContinuousClock.Instant?
    var running = Load.tasks
    var isStopping = false
    var lastTransfer = 0
  }

  private let state = Mutex(State())

  init(on pool: WarmPool, seed: UInt64) {
    for number in 0..<Self.tasks {
      Task {
        var random = SeededRandom(seed: seed &+ UInt64(number) &* 0x1_0000_0001)
        while !self.isStopping { await self.one(on: pool, &random) }
        self.state.withLock { $0.running -= 1 }
      }
    }
  }

  private func one(on pool: WarmPool, _ random: inout SeededRandom) async {
    // Time to think: also keeps those whose calls fail at once from running in circles.
    try? await Task.sleep(for: .microseconds(Int.random(in: 0...30_000, using: &random)))
    let operation = Operation.random(using: &random) {
      state.withLock {
        $0.lastTransfer += 1
        return $0.lastTransfer
      }
    }
    let began = ContinuousClock.now
    let outcome = await Self.bounded { await operation.perform(on: pool) }
    let ended = ContinuousClock.now
    state.withLock { state in
      state.tally.longest = max(state.tally.longest, ended - began)
      if let transfer = operation.transfer { state.tally.claims[transfer.id] = outcome.claim }
      if let wrong = outcome.wrongAnswer { state.tally.wrongAnswers.append(wrong) }
      if let failure = outcome.failure {
        state.tally.failures[failure, default: 0] += 1
      } else {
        state.tally.succeeded += 1
        if let mark = state.mark, began >= mark, state.tally.firstSuccess == nil {
          state.tally.firstSuccess = ended
        }
      }
    }
  }

  /// Cancels `body` at the deadline, and returns when it has ended.
  private static func bounded(
    _ body: @escaping @Sendable () async -> Operation.Outcome
  ) async -> Operation.Outcome {
    await withTaskGroup(of: Operation.Outcome?.self) { group in
      group.addTask { await body() }
      group.addTask {
        try? await Task.sleep(for: deadline)
        return nil
      }
      var outcome: Operation.Outcome?
      for await ended in group {
        group.cancelAll()
        outcome = outcome ?? ended
      }
      return outcome ?? Operation.Outcome(claim: .unknown, failure: "did not end")
    }
  }

  private var isStopping: Bool { state.withLock { $0.isStopping } }

  var tally: Tally { state.withLock { $0.tally } }
  var running: Int { state.withLock { $0.running } }

  /// Waits for so many more operations that succeed.
  func succeeds(_ count: Int, within limit: Duration = .seconds(60)) async -> Bool {
    let goal = tally.succeeded + count
    return await eventually(within: limit) { tally.succeeded >= goal }
  }

  /// From this moment on, successes are those after the fault.
  func markFaultsEnd(at moment: ContinuousClock.Instant) {
    state.withLock { ($0.mark, $0.tally.firstSuccess) = (moment, nil) }
  }

  /// Begins nothing more; false if a task has not ended long after its deadline.
  func stop() async -> Bool {
    state.withLock { $0.isStopping = true }
    return await eventually(within: Self.deadline + .seconds(30)) { running == 0 }
  }
}
