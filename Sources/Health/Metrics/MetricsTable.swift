import PoolCore

/// Every metric there is: `/metrics`, `warmgate help metrics` and the table in the README are made of it.
///
/// Whatever can be counted has its series from the start, at zero: a rate over a series that appears with its first
/// event would miss just that one. What is not known yet has none.
enum MetricsTable {
  static let all = readiness + pool + logins + database + drain + process

  private static let readiness: [Metric] = [
    .gauge("warmgate_ready", "1 while /ready is 200, otherwise 0.") { $0.verdict.isReady ? 1 : 0 },
    .gauge(
      "warmgate_state", by: "state",
      help: "1 for the state it is in, 0 for the others. degraded is ready, with something wrong."
    ) { scrape in
      InstanceState.allCases.map { .init($0.rawValue, count: $0 == scrape.state ? 1 : 0) }
    },
    .gauge(
      "warmgate_not_ready_reason", by: "reason", help: "1 for what stands against being ready, otherwise 0."
    ) { scrape in
      let reasons = scrape.verdict.isReady ? [] : scrape.verdict.reasons.map(\.kind)
      return Reason.Kind.allCases.filter(\.blocks).map {
        .init($0.rawValue, count: reasons.contains($0) ? 1 : 0)
      }
    },
    .counter("warmgate_ready_transitions_total", "Changes from not ready to ready, and back.") {
      Double($0.counters.readyTransitions)
    },
    .gauge(
      "warmgate_time_to_ready_seconds",
      "From the start of the process until it was ready for the first time; none before."
    ) { scrape in scrape.snapshot.firstReady.map { ($0 - scrape.snapshot.started).inSeconds } },
  ]

  private static let pool: [Metric] = [
    .gauge(
      "warmgate_pool_connections", by: "state",
      help: "Connections: idle (the probe's own among them), leased, and logins under way."
    ) { scrape in
      let pool = scrape.snapshot.pool
      return [
        .init("idle", count: pool.idle), .init("leased", count: pool.leased),
        .init("connecting", count: pool.connecting),
      ]
    },
    .gauge("warmgate_pool_min", "The floor: min-connections.") { Double($0.snapshot.pool.min) },
    .gauge("warmgate_pool_max", "The ceiling: max-connections, the probe's own counted.") {
      Double($0.snapshot.pool.max)
    },
    .gauge("warmgate_pool_waiting", "Callers that wait for a connection.") {
      Double($0.snapshot.pool.waiting)
    },
    .histogram(
      "warmgate_pool_acquire_seconds",
      "How long callers that got a connection had waited for it; 0 where one was free."
    ) { $0.timings.acquires },
    .counter(
      "warmgate_pool_acquire_failures_total", by: "reason",
      help: "Callers that got no connection, cancelled ones included."
    ) { scrape in
      AcquireRefusal.Kind.allCases.map {
        .init($0.rawValue, count: scrape.counters.acquireFailures[$0.rawValue] ?? 0)
      } + [.init("cancelled", count: scrape.counters.acquiresCancelled)]
    },
    .histogram("warmgate_pool_lease_seconds", "How long connections were held, from grant to release.") {
      $0.timings.leases
    },
    .counter(
      "warmgate_pool_leaks_total",
      "Leases held for longer than leak-after, and sessions idle in a transaction for longer at the server."
    ) { Double($0.counters.leaks + $0.snapshot.sessionLeaks.total) },
    .counter(
      "warmgate_retries_total",
      "Leases that asked for another connection, because theirs was dead before their first statement."
    ) { Double($0.counters.exchanges) },
    .counter("warmgate_closes_total", by: "reason", help: "Connections that were closed.") { scrape in
      CloseReason.allCases.map { .init($0.rawValue, count: scrape.counters.closes[$0.rawValue] ?? 0) }
    },
    .gauge("warmgate_generation", "One more each time that all connections were given up together.") {
      Double($0.snapshot.generation)
    },
    .gauge("warmgate_breaker_state", "Whether callers are refused at once: 0 closed, 1 half-open, 2 open.") {
      switch $0.snapshot.breaker.state {
      case .closed: 0
      case .halfOpen: 1
      case .open: 2
      }
    },
  ]

  private static let logins: [Metric] = [
    .counter(
      "warmgate_connects_total", by: "outcome",
      help: "Logins that have ended; abandoned ones were not needed any more."
    ) { scrape in
      [
        .init("success", count: scrape.counters.loginsSucceeded),
        .init("failure", count: scrape.counters.loginsFailed),
        .init("abandoned", count: scrape.counters.loginsAbandoned),
      ]
    },
    .histogram(
      "warmgate_connect_seconds",
      "How long successful logins took: name, TCP, TLS, authentication."
    ) { $0.timings.logins },
    .counter(
      "warmgate_warmed_without_ticket_total",
      "How often it warmed without a ticket (fleet-tickets), because none was free in time or there can be none."
    ) { Double($0.counters.warmedWithoutTicket) },
    .gauge("warmgate_connects_in_flight", "Logins under way.") { Double($0.snapshot.pool.connecting) },
  ]

  private static let database: [Metric] = [
    .histogram("warmgate_probe_seconds", "How long it took until a probe was answered as wanted.") {
      $0.timings.probes
    },
    .counter(
      "warmgate_probes_total", by: "outcome",
      help: "Probes: answered as wanted, or not (the witnesses asked after a failure included)."
    ) { scrape in
      [
        .init("success", count: scrape.counters.probesSucceeded),
        .init("failure", count: scrape.counters.probesFailed),
      ]
    },
    .counter(
      "warmgate_database_errors_total", by: "class", "sqlstate",
      help: "What went wrong with the database, or on the way to it: class is the first two characters of "
        + "the server's SQLSTATE; where the server said nothing, the kind of trouble. At most "
        + "\(FaultCounts.unknownStates) codes that Warmgate does not know; further ones are other."
    ) { $0.counters.faults.samples },
    .gauge(
      "warmgate_server_slots", by: "kind",
      help: "Sessions of the server as they were last read: max_connections, those reserved, those in use; "
        + "none before, and where it cannot be read."
    ) { scrape in
      guard let room = scrape.snapshot.room.reading else { return [] }
      // The one that asked is in use as well.
      return [
        .init("max", count: room.maxConnections), .init("reserved", count: room.reserved),
        .init("used", count: room.used + 1),
      ]
    },
  ]

  private static let drain: [Metric] = [
    .gauge("warmgate_drain_seconds", "How long the drain has taken, so far or in all; none without one.") {
      scrape in
      scrape.snapshot.drain.map { (($0.ended ?? scrape.observation.now) - $0.began).inSeconds }
    },
    .gauge(
      "warmgate_drain_leases", by: "outcome",
      help: "Leases in use when the drain closed the pool: finished, cut off at the deadline, pending still; "
        + "and callers that were refused then. None without a drain."
    ) { scrape in
      guard let drain = scrape.snapshot.drain else { return [] }
      return [
        .init("finished", count: drain.finished), .init("cut", count: drain.cut),
        .init("pending", count: max(0, drain.inUse - drain.finished - drain.cut)),
        .init("refused", count: drain.refused),
      ]
    },
  ]

  private static let process: [Metric] = [
    .counter(
      "warmgate_http_requests_total", by: "path", "code",
      help: "Requests that were answered, on both listeners. Other names of a path count as that path, "
        + "unknown paths as other."
    ) { scrape in scrape.requests.map { .init($0.path.rawValue, String($0.code), count: $0.count) } },
    Metric(
      name: "warmgate_build_info", kind: .info, labels: ["version"], help: "Always 1: the version.",
      values: .samples { [.init($0.version, count: 1)] }),
    .counter("process_cpu_seconds_total", "Processor time, user and system.") { $0.process.cpu },
    .gauge("process_open_fds", "File descriptors that are open.") { $0.process.openFiles },
    .gauge("process_max_fds", "How many there may be.") { $0.process.maxFiles },
    .gauge("process_virtual_memory_bytes", "Virtual memory.") { $0.process.virtualMemory },
    .gauge("process_virtual_memory_max_bytes", "How much there may be; none without a limit.") {
      $0.process.maxVirtualMemory
    },
    .gauge("process_resident_memory_bytes", "Memory that is resident.") { $0.process.residentMemory },
    .gauge("process_start_time_seconds", "When the process was started, since 1970.") { $0.process.started },
    .gauge("process_threads", "Threads.") { $0.process.threads },
  ]
}

/// The states that `warmgate_state` tells apart: always just one.
enum InstanceState: String, CaseIterable {
  case starting, warming, ready, degraded, unready, draining, drained, stalled

  init(_ observation: Observation) {
    let verdict = observation.verdict
    self =
      verdict.isDegraded ? .degraded : InstanceState(rawValue: Answer(.ready, observation).state) ?? .unready
  }
}

extension FaultCounts {
  /// All that can be named, and then whatever came besides.
  fileprivate var samples: [Metric.Sample] {
    let kinds = Fault.kindNames + byKind.keys.filter { !Fault.kindNames.contains($0) }.sorted()
    let unknown = byState.keys.filter { !$0.isKnown }.sorted { $0.code < $1.code }
    return kinds.map { .init($0, "none", count: byKind[$0] ?? 0) }
      + (SQLState.known + unknown).map { .init($0.errorClass, $0.code, count: byState[$0] ?? 0) }
      // Not the kind of the same name, which has no code either.
      + [.init("other", "other", count: others)]
  }
}
