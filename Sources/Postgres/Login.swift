import EventLoop
import PoolCore

/// One login: attempts at one host after another, until one succeeds. Lives on the loop, waits without blocking it.
actor Login {
  private let loop: EventLoop
  private let database: Database
  private let prepares: Bool
  private let abandoned: AbandonedAttempts
  private let silent: SilentHosts
  private var isCancelled = false
  private var current: Current?

  /// The attempt that is awaited.
  private struct Current {
    var attempt: LoginAttempt
    var timer: TimerToken
    var continuation: UnsafeContinuation<LoginAttempt.Outcome, Never>
  }

  /// An attempt that waits in `poll` ends itself at its deadline. One that has not done so by this time after it is
  /// stuck.
  private static let grace: Duration = .milliseconds(10)

  nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  init(
    loop: EventLoop, database: Database, prepares: Bool, abandoned: AbandonedAttempts, silent: SilentHosts
  ) {
    self.loop = loop
    self.database = database
    self.prepares = prepares
    self.abandoned = abandoned
    self.silent = silent
  }

  func run(at place: LoginPlace) async -> Result<Connection, Fault> {
    let hosts = database.hosts.filter { place.includes($0.id) }
    var faults: [Fault] = []
    switch database.order {
    case .one(let attributes):
      for host in attributes == "any" ? hosts : silent.last(of: hosts) {
        switch await attempt(host, attributes) {
        case .success(let connection): return .success(connection)
        case .failure(let fault): faults.append(fault)
        }
        if isPointless(after: faults) { break }
      }
    case .preferStandby:
      var others: [(index: Int, host: Host)] = []
      for host in hosts {
        switch await attempt(host, "standby") {
        case .success(let connection): return .success(connection)
        case .failure(let fault):
          faults.append(fault)
          if fault.kind == .wrongRole { others.append((faults.count - 1, host)) }
        }
        if isPointless(after: faults) { break }
      }
      for (index, host) in others where !isPointless(after: faults) {
        switch await attempt(host, "any") {
        case .success(let connection): return .success(connection)
        case .failure(let fault): faults[index] = fault
        }
      }
    }
    if isCancelled { return .failure(faults.last ?? cancellation(at: .settings)) }
    return .failure(
      Fault.mostTelling(faults) ?? Fault(.misconfigured, at: .settings, message: "the URL has no such host"))
  }

  /// Any thread.
  nonisolated func cancel() {
    loop.post { self.assumeIsolated { $0.cancelNow() } }
  }

  private func cancelNow() {
    isCancelled = true
    giveUp(cancellation(at: current?.attempt.step ?? .settings))
  }

  private func cancellation(at step: Fault.Step) -> Fault {
    Fault(.other, at: step, host: current?.attempt.host.label, message: "login cancelled")
  }

  /// The next host would fail in the same way, or nobody waits any more.
  private func isPointless(after faults: [Fault]) -> Bool {
    if isCancelled { return true }
    guard let last = faults.last else { return false }
    return last.step == .settings || last.kind == .attemptsStuck
  }

  private func attempt(_ host: Host, _ attributes: String) async -> Result<Connection, Fault> {
    if isCancelled { return .failure(cancellation(at: .settings)) }
    if abandoned.isFull {
      return .failure(
        Fault(
          .attemptsStuck, at: .name, host: host.label,
          message: "\(abandoned.count) earlier attempts have not returned from the system"))
    }
    let began = EventLoop.now()
    let outcome = await withUnsafeContinuation { continuation in
      start(host, attributes, deadline: began + database.connectTimeout, continuation)
    }
    switch outcome {
    case .failure(let fault):
      switch fault.kind {
      case .timedOut: silent.add(host.id)
      case .other: break
      default: silent.remove(host.id)
      }
      return .failure(fault)
    case .success(let session):
      silent.remove(host.id)
      do throws(Fault) {
        return .success(
          try Connection.open(
            session, host: host, on: loop, took: EventLoop.now() - began, prepares: prepares))
      } catch { return .failure(error) }
    }
  }

  private func start(
    _ host: Host, _ attributes: String, deadline: Instant,
    _ continuation: UnsafeContinuation<LoginAttempt.Outcome, Never>
  ) {
    do throws(Fault) {
      let attempt = try LoginAttempt(
        database: database, host: host, sessionAttributes: attributes, deadline: deadline,
        abandoned: abandoned
      ) { [loop] outcome in
        loop.post { self.assumeIsolated { $0.finish(outcome) } }
      }
      let timer = loop.schedule(at: deadline + Self.grace) { [self] in
        giveUp(Fault(.timedOut, at: attempt.step, host: host.label))
      }
      current = Current(attempt: attempt, timer: timer, continuation: continuation)
      try attempt.start()
    } catch {
      if let current { loop.cancel(current.timer) }
      current = nil
      continuation.resume(returning: .failure(error))
    }
  }

  private func giveUp(_ fault: Fault) {
    // Too late to abandon: the outcome has been posted, and what has been achieved is not thrown away.
    guard let current, current.attempt.abandon() else { return }
    finish(.failure(fault))
  }

  private func finish(_ outcome: LoginAttempt.Outcome) {
    guard let current else { return }
    self.current = nil
    loop.cancel(current.timer)
    current.continuation.resume(returning: outcome)
  }
}
