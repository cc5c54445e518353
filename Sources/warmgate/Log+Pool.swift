import Health
import PoolCore
import WarmPool

/// How the pool's own events read in the log. Reasons and faults appear with hosts and the server's own words:
/// the log is for operators.
extension Log {
  func event(_ event: PoolEvent) {
    switch event {
    case .transition(let transition): self.transition(transition)
    case .fault(let fault, let context): self.fault(fault, during: context)
    case .loginsWork(let failures): loginsWork(after: failures)
    case .connected(let id, let host, let pid, let took):
      debug(
        "connected",
        [
          "connection": .string(id.description), "host": .string(host), "backend_pid": .int(Int(pid)),
          "seconds": .seconds(took),
        ])
    case .closed(let id, let reason):
      debug("closed", ["connection": .string(id.description), "reason": .string(reason.rawValue)])
    case .leaked(let lease, let id, let held, let site):
      note(.warn, "lease held for too long", fields: Self.leak(lease, id, held, site))
    case .leakReturned(let lease, let id, let held, let site):
      note(.info, "lease came back", fields: Self.leak(lease, id, held, site))
    case .retired(let retirement): retired(retirement)
    case .clusterHidden(let fault):
      info("the server does not say which cluster it is", ["fault": .string(fault.detail)])
    case .noSlots(let room, let needed):
      note(.warn, "no slots: logins wait", ["needed": .int(needed), "server": .string(room.text)])
    case .noTicket(let report): noTicket(report)
    case .slotsFree: info("the server has slots again")
    case .roomHidden(let why): info("the server's room cannot be read", ["reason": .string(why)])
    case .breaker(let report, let from): breaker(report, from: from)
    case .sessionLeaked(let leak): sessionLeak(.warn, "a session leaks: idle in a transaction", leak)
    case .sessionLeakEnded(let leak): sessionLeak(.info, "a session no longer leaks", leak)
    case .sessionsHidden(let limits):
      info("leaks are watched in part", ["reasons": .array(limits.map { .string($0.words) })])
    }
  }

  private func noTicket(_ report: TicketReport) {
    var fields: [JSON.Member] = [.init("tickets", .int(report.tickets))]
    if case .unavailable(let why) = report.state { fields.append(.init("reason", .string(why))) }
    note(
      .warn,
      report.state == .waitedTooLong ? "warms without a ticket: none was free" : "warms without a ticket",
      fields: fields)
  }

  /// A change of phase, or of being degraded.
  func transition(_ transition: Transition) {
    let reasons = transition.reasons.map { JSON.string($0.detail) }
    let isDegraded = transition.to == .ready && transition.degraded
    var fields: [JSON.Member] = [
      .init("state", .string(transition.to.rawValue)), .init("from", .string(transition.from.rawValue)),
    ]
    if isDegraded { fields.append(.init("degraded", true)) }
    if !reasons.isEmpty { fields.append(.init("reasons", .array(reasons))) }
    // CLOCK_BOOTTIME: exact, and comparable with what another process on the machine measures.
    fields.append(.init("boottime", .seconds(transition.at - .origin)))
    let words = transition.to == .ready ? (isDegraded ? "ready, degraded" : "ready") : "not ready"
    note(transition.to == .unready || isDegraded ? .warn : .info, words, fields: fields)
  }

  /// A fault of a kind that was not there before.
  func fault(_ fault: Fault, during context: FaultContext) {
    var fields: [JSON.Member] = [
      .init("fault", .string(fault.summary)), .init("kind", .string(fault.kindName)),
      .init("step", .string(fault.step.rawValue)),
    ]
    if let state = fault.sqlState { fields.append(.init("sqlstate", .string(state.code))) }
    if let host = fault.host { fields.append(.init("host", .string(host))) }
    if !fault.message.isEmpty { fields.append(.init("said", .string(fault.message))) }
    note(.warn, "\(context.rawValue) failed", fields: fields)
  }

  /// All connections are given up together.
  private func retired(_ retirement: Retirement) {
    var fields: [JSON.Member] = [
      .init("reason", .string(retirement.reason.rawValue)), .init("generation", .int(retirement.generation)),
    ]
    if let fault = retirement.fault { fields.append(.init("fault", .string(fault.detail))) }
    note(.warn, "all connections are given up", fields: fields)
  }

  private func sessionLeak(_ level: LogLevel, _ words: String, _ leak: SessionLeak) {
    note(
      level, words,
      [
        "backend_pid": .int(Int(leak.pid)), "application_name": .string(leak.applicationName),
        "role": .string(leak.role), "own": .bool(leak.isOwn), "idle_seconds": .seconds(leak.idleFor),
      ])
  }

  private static func leak(
    _ lease: LeaseID, _ id: ConnectionID, _ held: Duration, _ site: AcquisitionSite?
  ) -> [JSON.Member] {
    var fields: [JSON.Member] = [
      .init("lease", .int(Int(clamping: lease.number))), .init("connection", .string(id.description)),
      .init("held", .seconds(held)),
    ]
    if let site {
      fields.append(.init("acquired_at", .string("\(site.fileID):\(site.line)")))
      if let task = site.task { fields.append(.init("task", .string(task))) }
    }
    return fields
  }

  /// Callers are refused at once, or no longer. Each attempt of an outage is no news.
  func breaker(_ report: BreakerReport, from: BreakerReport.State) {
    let isNews = report.state == .closed || from == .closed
    var fields: [JSON.Member] = [
      .init("breaker", .string(report.state.rawValue)), .init("from", .string(from.rawValue)),
    ]
    if let fault = report.because { fields.append(.init("fault", .string(fault.detail))) }
    note(
      isNews ? (report.state == .closed ? .info : .warn) : .debug,
      report.state == .closed ? "callers are served again" : "callers are refused at once", fields: fields)
  }

  /// Logins work again.
  func loginsWork(after failures: Int) {
    info("logins work again", ["failures": .int(failures)])
  }
}
