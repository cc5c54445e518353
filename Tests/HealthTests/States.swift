import PoolCore

@testable import Health

/// Instances in every state a client can meet, at one moment. What only operators may see is marked `hidden`.
struct State: Sendable, CustomStringConvertible {
  let description: String
  let observation: Observation

  static let now = Instant(nanoseconds: 1_000_000_000_000)
  static let hiddenHost = "db.hidden.example:5432"
  static let hiddenMessage = "FATAL: hidden words of the server"

  init(
    _ name: String, _ phase: Snapshot.Phase, reasons: [Reason] = [], beat: Duration = .milliseconds(200),
    change: (inout Snapshot) -> Void = { _ in }
  ) {
    description = name
    var snapshot = Snapshot(
      taken: State.now - beat, phase: phase, reasons: reasons, pool: PoolCounts(min: 2, max: 10, idle: 2))
    snapshot.started = State.now - .seconds(60)
    snapshot.since = State.now - .seconds(30)
    snapshot.readyUntil = State.now + .seconds(6)
    snapshot.probe.last = .init(at: State.now - .milliseconds(1500), took: .microseconds(420))
    snapshot.probe.lastGood = State.now - .milliseconds(1500)
    snapshot.probe.successesInRow = 12
    if phase != .starting && phase != .warming {
      snapshot.hasBeenReady = true
      snapshot.firstReady = snapshot.started + .milliseconds(21)
    }
    change(&snapshot)
    observation = Observation(snapshot: snapshot, now: State.now)
  }

  static func fault(_ kind: Fault.Kind, _ step: Fault.Step) -> Fault {
    Fault(kind, at: step, host: hiddenHost, message: hiddenMessage)
  }

  static let starting = State("starting", .starting, reasons: [.starting]) { snapshot in
    snapshot.pool.idle = 0
    snapshot.probe = ProbeReport()
  }
  static let warming = State("warming", .warming, reasons: [.warming(open: 1, min: 2, because: nil)]) {
    $0.pool.idle = 1
  }
  static let warmingRefused = State(
    "warming against a wrong password", .warming,
    reasons: [.warming(open: 0, min: 2, because: fault(.server(.invalidPassword), .authentication))]
  ) { snapshot in
    snapshot.pool.idle = 0
    snapshot.probe = ProbeReport()
  }
  static let ready = State("ready", .ready)
  static let degraded = State("degraded", .ready) {
    $0.degraded = [.loginFailing(fault(.server(.tooManyConnections), .session))]
  }
  static let probeFailed = State(
    "unready after failed probes", .unready,
    reasons: [.probeFailed(fault(.server(.cannotConnectNow), .probe))])
  static let lost = State(
    "unready without a connection", .unready, reasons: [.databaseLost(fault(.refused, .tcp))])
  static let draining = State("draining", .draining, reasons: [.draining]) { snapshot in
    snapshot.drain = DrainProgress(
      stage: .lameDuck, began: now - .seconds(2), deadline: now + .seconds(23))
  }
  static let drained = State("drained", .drained, reasons: [.drained]) { snapshot in
    var drain = DrainProgress(stage: .done, began: now - .seconds(9), deadline: now + .seconds(16))
    drain.ended = now - .seconds(1)
    drain.inUse = 3
    drain.finished = 3
    drain.refused = 2
    drain.closed = 10
    snapshot.drain = drain
  }
  static let drainedUnstarted = State("drained before it was ever ready", .drained, reasons: [.drained]) {
    $0.hasBeenReady = false
  }
  static let stalled = State("stalled", .ready, beat: .milliseconds(3200))
  static let overdue = State("ready with an overdue probe", .ready) { snapshot in
    snapshot.readyUntil = now - .seconds(1)
    snapshot.probe.lastGood = now - .seconds(9)
  }
  static let dead = State("dead", .ready, beat: .seconds(12))

  static let all = [
    starting, warming, warmingRefused, ready, degraded, probeFailed, lost, draining, drained,
    drainedUnstarted,
    stalled, overdue, dead,
  ]
}
