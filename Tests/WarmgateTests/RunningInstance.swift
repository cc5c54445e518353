import Health
import PoolCore
import Support
import Synchronization

/// The real listeners over a state that the test sets.
final class RunningInstance: Sendable {
  private let state: Mutex<Snapshot>
  private let shared: Shared
  private let health: HealthServer
  private let admin: AdminServer

  final class Shared: Sendable {
    /// What a drain is answered; nil leaves it waiting.
    let drainAnswer = Mutex<DrainAnswer?>(.done(RunningInstance.progress(cut: 0)))
    let resumeAnswer = Mutex(ResumeAnswer.resumed)
    let drains = Mutex<[DrainRequest]>([])
    let waiting = Mutex<[@Sendable (DrainAnswer) -> Void]>([])
    let questions = Atomic(0)
  }

  static func progress(cut: Int) -> DrainProgress {
    var progress = DrainProgress(stage: .done, began: .origin, deadline: .origin + .seconds(25))
    progress.ended = .origin + .seconds(3)
    progress.inUse = 3
    progress.finished = 3 - cut
    progress.cut = cut
    progress.closed = 5
    return progress
  }

  init(listen: String = "127.0.0.1:0", admin adminListen: String = "127.0.0.1:0", tokenFile: String? = nil)
    throws
  {
    let shared = Shared()
    self.shared = shared
    state = Mutex(Self.snapshot(.warming, [.warming(open: 1, min: 2, because: nil)]))
    let box = Box()
    let observe: @Sendable () -> Observation = {
      shared.questions.add(1, ordering: .relaxed)
      let snapshot =
        box.instance.withLock { $0.value?.state.withLock { $0 } } ?? Self.snapshot(.starting, [.starting])
      return Observation(snapshot: snapshot, now: snapshot.taken)
    }
    health = try HealthServer(
      listen: [try ListenAddress(parsing: listen)], probeInterval: .seconds(5), version: "test",
      observe: observe)
    admin = try AdminServer(
      listen: try ListenAddress(parsing: adminListen), tokenFile: tokenFile, observe: observe,
      control: AdminControl(
        drain: { request, answer in
          shared.drains.withLock { $0.append(request) }
          if !request.wait {
            answer(.begun)
          } else if let now = shared.drainAnswer.withLock({ $0 }) {
            answer(now)
          } else {
            shared.waiting.withLock { $0.append(answer) }
          }
        },
        resume: { $0(shared.resumeAnswer.withLock { $0 }) }, quit: {}),
      details: { AdminDetails(version: "test", instance: "test") }, log: { _ in })
    box.instance.withLock { $0.value = self }
  }

  /// A drain that was left waiting holds what answers it, which holds what is waiting.
  deinit { shared.waiting.withLock { $0 = [] } }

  /// Lets the listeners read the instance that is made after them.
  private final class Box: Sendable {
    struct Weak: Sendable {
      weak var value: RunningInstance?
    }
    let instance = Mutex(Weak())
  }

  private static func snapshot(_ phase: Snapshot.Phase, _ reasons: [Reason]) -> Snapshot {
    Snapshot(
      taken: .origin + .seconds(100), phase: phase, reasons: reasons,
      pool: PoolCounts(min: 2, max: 10, idle: 1))
  }

  func become(_ phase: Snapshot.Phase, _ reasons: [Reason] = []) {
    state.withLock {
      $0 = Self.snapshot(phase, reasons)
      $0.hasBeenReady = phase == .ready
    }
  }

  func answerDrains(_ answer: DrainAnswer?) { shared.drainAnswer.withLock { $0 = answer } }
  func answerResume(_ answer: ResumeAnswer) { shared.resumeAnswer.withLock { $0 = answer } }
  /// How often anything was asked so far.
  var questions: Int { shared.questions.load(ordering: .relaxed) }
  var drains: [DrainRequest] { shared.drains.withLock { $0 } }
  func finishWaitingDrains(_ answer: DrainAnswer) {
    for waiting in shared.waiting.withLock({ $0 }) { waiting(answer) }
  }

  var url: String { "http://\(health.address)" }
  var adminURL: String { "http://\(admin.address)" }
  /// As `serve` would find them in its container.
  var environment: [String: String] {
    ["WARMGATE_LISTEN": health.address.description, "WARMGATE_ADMIN_LISTEN": admin.address.description]
  }
}
