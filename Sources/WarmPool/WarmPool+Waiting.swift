import EventLoop
import PoolCore

/// Callers that wait for the pool to become ready, to be drained, or to end.
extension WarmPool {
  struct PhaseWaiter {
    var id: UInt64
    var isDone: (Snapshot.Phase, _ isTerminating: Bool) -> Bool
    var continuation: CheckedContinuation<Void, any Error>
  }

  func ended() async {
    try? await wait { phase, isTerminating in phase == .drained && isTerminating }
  }

  func waitUntilReady(_ timeout: Duration?) async throws {
    try Task.checkCancellation()
    lastLease += 1
    let id = lastLease
    var timer: TimerToken?
    if let timeout {
      timer = loop.schedule(at: EventLoop.now() + timeout) {
        self.assumeIsolated { $0.giveUp(id, timedOut: true) }
      }
    }
    defer { if let timer { loop.cancel(timer) } }
    try await withTaskCancellationHandler {
      try await wait(id) { phase, isTerminating in phase == .ready || phase == .drained && isTerminating }
    } onCancel: {
      loop.post { self.assumeIsolated { $0.giveUp(id, timedOut: false) } }
    }
    guard core.phase == .ready else { throw PoolError(.ended, pool: core.snapshot(at: EventLoop.now()).pool) }
  }

  private func wait(
    _ id: UInt64 = 0, until isDone: @escaping (Snapshot.Phase, _ isTerminating: Bool) -> Bool
  ) async throws {
    if isDone(core.phase, isTerminating) { return }
    try await withCheckedThrowingContinuation {
      phaseWaiters.append(PhaseWaiter(id: id, isDone: isDone, continuation: $0))
    }
  }

  private func giveUp(_ id: UInt64, timedOut: Bool) {
    guard let index = phaseWaiters.firstIndex(where: { $0.id == id }) else { return }
    let waiter = phaseWaiters.remove(at: index)
    let snapshot = core.snapshot(at: EventLoop.now())
    waiter.continuation.resume(
      throwing: timedOut
        ? PoolError(
          .notWarm(because: snapshot.reasons), fault: snapshot.reasons.first?.fault, pool: snapshot.pool)
        : CancellationError()
    )
  }

  /// After every event.
  func wakePhaseWaiters() {
    guard core.phase != toldPhase || isTerminating != toldTerminating else { return }
    (toldPhase, toldTerminating) = (core.phase, isTerminating)
    let done = phaseWaiters.filter { $0.isDone(core.phase, isTerminating) }
    phaseWaiters.removeAll { waiter in done.contains { $0.id == waiter.id } }
    for waiter in done { waiter.continuation.resume() }
  }

  func drained(_ event: (Instant) -> Event) async throws -> DrainProgress {
    let event = event(EventLoop.now())
    lastLease += 1
    let id = lastLease
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        drainWaiters[id] = continuation
        handle(event)
      }
    } onCancel: {
      // After this turn, so the continuation above is in its place by then.
      loop.post {
        self.assumeIsolated { $0.drainWaiters.removeValue(forKey: id)?.resume(throwing: CancellationError()) }
      }
    }
  }

  func end(within timeout: Duration) {
    isTerminating = true
    handle(.terminate(deadline: EventLoop.now() + timeout))
  }
}
