import Foundation
import Synchronization

/// Asks one URL at a fixed pace, from before a test's first step to after its last, and keeps every answer, so
/// that a test can assert on their order afterwards.
public final class Observer: Sendable {
  public struct Observation: Sendable, CustomStringConvertible {
    /// When the request was begun.
    public let at: ContinuousClock.Instant
    public let elapsed: Duration
    public let outcome: Outcome

    public var status: Int? { if case .answer(let status, _) = outcome { status } else { nil } }
    public var line: String? { if case .answer(_, let line) = outcome { line } else { nil } }
    public var description: String { "\(outcome) after \(elapsed)" }
  }

  public enum Outcome: Hashable, Sendable {
    /// The status and the first line of the body.
    case answer(Int, String)
    case failed(ProbeError)
  }

  private struct State {
    var observations: [Observation] = []
    var stopping = false
  }

  private let state = Mutex(State())
  private let ended = DispatchSemaphore(value: 0)

  /// Begins at once. A request that takes longer than `timeout` counts as failed. With `atHighPriority` it does not wait
  /// for the machine's other work, where the system allows that: for a test of how soon answers come.
  public init(
    _ probe: HTTPProbe, _ path: String = "/ready", headers: [(String, String)] = [],
    every pause: Duration = .milliseconds(20), timeout: Duration = .seconds(2),
    atHighPriority: Bool = false
  ) {
    Thread.detachNewThread { [weak self] in
      if atHighPriority { raisePriorityOfThread() }
      var next = ContinuousClock.now
      while true {
        guard let isLast = self?.state.withLock({ $0.stopping }) else { return }
        let began = ContinuousClock.now
        let outcome: Outcome
        do {
          let answer = try probe.requestBlocking("GET", path, headers: headers, within: timeout)
          outcome = .answer(answer.status, answer.firstLine)
        } catch {
          outcome = .failed(error as? ProbeError ?? .system("\(error)"))
        }
        guard let self else { return }
        let observation = Observation(at: began, elapsed: ContinuousClock.now - began, outcome: outcome)
        self.state.withLock { $0.observations.append(observation) }
        if isLast {
          self.ended.signal()
          return
        }
        next = max(next + pause, ContinuousClock.now)
        sleepBlocking(next - ContinuousClock.now)
      }
    }
  }

  /// What was seen so far, oldest first.
  public var observations: [Observation] { state.withLock { $0.observations } }

  /// Ends it, after one last observation that is begun after this call, and returns everything.
  public func stop() async -> [Observation] {
    state.withLock { $0.stopping = true }
    await blocking {
      self.ended.wait()
      self.ended.signal()
    }
    return observations
  }

  /// The first observation begun at or after `start` that fits; nil if none came in time.
  public func first(
    since start: ContinuousClock.Instant? = nil, within limit: Duration = .seconds(10),
    where fits: @Sendable (Observation) -> Bool
  ) async -> Observation? {
    var found: Observation?
    _ = await eventually(within: limit, every: .milliseconds(5)) {
      found = observations.first { (start == nil || $0.at >= start!) && fits($0) }
      return found != nil
    }
    return found
  }
}

/// The calling thread runs before all ordinary work of the machine, where the system allows that.
func raisePriorityOfThread() {
  // 0 is the calling thread. Niceness would not do: it counts only within a session (sched(7), "autogroup").
  var priority = sched_param(sched_priority: 1)
  sched_setscheduler(0, SCHED_RR, &priority)
}

extension [Observer.Observation] {
  /// The outcomes with repetitions in a row left out: `503 warming 0/2`, `503 warming 1/2`, `200 ready`.
  public var changes: [String] {
    reduce(into: []) { texts, observation in
      let text =
        switch observation.outcome {
        case .answer(let status, let line): "\(status) \(line)"
        case .failed(let error): "\(error)"
        }
      if texts.last != text { texts.append(text) }
    }
  }
}
