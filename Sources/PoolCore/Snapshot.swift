/// The whole of what an instance knows about itself at one moment: immutable, published by the loop after every
/// change and on every beat, read by anybody without waiting.
public struct Snapshot: Sendable {
  /// When it was made. The loop makes one on every beat, so this is also the loop's heartbeat.
  public var taken: Instant
  /// Where the instance is in its life.
  public var phase: Phase
  /// Why it is not ready; empty if it is.
  public var reasons: [Reason]
  /// What is wrong although it is ready.
  public var degraded: [Reason]
  /// It has been ready once in the life of this process.
  public var hasBeenReady: Bool
  /// After this moment a `ready` phase is not believed any more: the probe is overdue.
  public var readyUntil: Instant?
  /// When the process began.
  public var started: Instant
  /// Since when `phase` holds.
  public var since: Instant
  /// When it was ready for the first time.
  public var firstReady: Instant?
  /// How many connections are in which state.
  public var pool: PoolCounts
  /// What the probe last heard.
  public var probe: ProbeReport
  /// Whether new logins work.
  public var login: LoginReport
  /// Whether the server has slots.
  public var room = RoomReport()
  /// Whether it waits for a ticket.
  public var ticket = TicketReport()
  /// Why that cannot be read; nil if it can, or was not asked.
  public var roomHidden: String?
  /// How far the drain has come; nil if there is none.
  public var drain: DrainProgress?
  /// Whether callers are refused at once.
  public var breaker: BreakerReport
  /// Leases held longer than `leakAfter`, in the order in which they were reported.
  public var leaks: [HeldLease]
  /// Raised whenever all connections of the moment are given up together.
  public var generation: Int
  /// Why and when that last happened; nil if it never has.
  public var retirement: Retirement?
  /// The database cluster that the connections are connected to; nil while unknown.
  public var cluster: ClusterID?
  /// Why the server does not tell which cluster it is; nil if it does, or was not asked yet.
  public var clusterHidden: Fault?
  /// Totals since the process started.
  public var counters: Counters
  /// How long things took, since the process started.
  public var timings = Timings()
  /// The last transitions, oldest first, at most 100.
  public var timeline: [Transition]
  /// The last faults, oldest first, at most 20.
  public var faults: [FaultRecord]
  /// Sessions at the server that nobody works with: this instance's and its neighbours'.
  public var sessionLeaks = SessionLeaks()
  /// The pool over the last minutes.
  public var history = History()

  /// A snapshot of an instance that has just begun.
  public init(taken: Instant, phase: Phase = .starting, reasons: [Reason] = [.starting], pool: PoolCounts) {
    self.taken = taken
    self.phase = phase
    self.reasons = reasons
    self.pool = pool
    degraded = []
    hasBeenReady = false
    started = taken
    since = taken
    probe = ProbeReport()
    login = LoginReport()
    breaker = BreakerReport(since: taken)
    leaks = []
    generation = 1
    counters = Counters()
    timeline = []
    faults = []
  }

  /// Where an instance is in its life. Each case lists where it may go.
  public enum Phase: String, Hashable, Sendable, CaseIterable {
    /// Nothing has been tried yet. → warming, draining, drained
    case starting
    /// Not yet `min` connections open with an answered probe. → ready, draining
    case warming
    /// A connection answers the probe. → unready, draining
    case ready
    /// It was ready, and no connection answers the probe. → ready, draining
    case unready
    /// Not ready for good, and ending its leases. → drained, warming (resume)
    case draining
    /// No connection is left. → warming (resume)
    case drained
  }
}

/// How many connections are in which state. `idle` includes the probe's own connection.
public struct PoolCounts: Hashable, Sendable {
  /// The floor: `minConnections`.
  public var min: Int
  /// The ceiling: `maxConnections`.
  public var max: Int
  /// Open, and in nobody's hands.
  public var idle: Int
  /// In a caller's hands.
  public var leased: Int
  /// Logins under way.
  public var connecting: Int
  /// Callers that wait for a connection.
  public var waiting: Int
  /// How long the longest of the waiting has waited.
  public var longestWait: Duration

  /// Connections that are logged in.
  public var open: Int { idle + leased }

  /// Counts of a pool with this floor and ceiling.
  public init(
    min: Int, max: Int, idle: Int = 0, leased: Int = 0, connecting: Int = 0, waiting: Int = 0,
    longestWait: Duration = .zero
  ) {
    self.min = min
    self.max = max
    self.idle = idle
    self.leased = leased
    self.connecting = connecting
    self.waiting = waiting
    self.longestWait = longestWait
  }
}

/// Whether callers are refused at once, because there is nothing to wait for.
public struct BreakerReport: Hashable, Sendable {
  /// Whether callers are served.
  public enum State: String, Hashable, Sendable, CaseIterable {
    /// Callers are served, or wait. → open, half-open
    case closed
    /// Callers are refused; the next attempt to connect is due later. → half-open, closed
    case open
    /// Callers are refused; an attempt is under way. → open, closed
    case halfOpen = "half_open"
  }

  /// Whether callers are served.
  public var state: State
  /// Since when `state` holds.
  public var since: Instant
  /// What the attempts met; nil while closed.
  public var because: Fault?

  /// A breaker in this state since then.
  public init(state: State = .closed, since: Instant, because: Fault? = nil) {
    self.state = state
    self.since = since
    self.because = because
  }
}

/// A lease that has been held for too long.
public struct HeldLease: Hashable, Sendable {
  /// The lease.
  public var lease: LeaseID
  /// The connection it holds.
  public var connection: ConnectionID
  /// When it was granted.
  public var since: Instant
  /// Where it was acquired, as far as the shell knows.
  public var site: String?

  /// A lease that was granted at `since`.
  public init(lease: LeaseID, connection: ConnectionID, since: Instant, site: String? = nil) {
    self.lease = lease
    self.connection = connection
    self.since = since
    self.site = site
  }
}

/// All connections of one generation were given up together. Leases in use went on until they were released.
public struct Retirement: Hashable, Sendable {
  /// When.
  public var at: Instant
  /// The generation that began with it.
  public var generation: Int
  /// What its connections were closed for.
  public var reason: CloseReason
  /// What one of them met, or a login learned.
  public var fault: Fault?

  /// The end of a generation at `at`; `generation` is the one that followed.
  public init(at: Instant, generation: Int, reason: CloseReason, fault: Fault? = nil) {
    self.at = at
    self.generation = generation
    self.reason = reason
    self.fault = fault
  }
}

/// The probe: what it last heard, and what comes next.
public struct ProbeReport: Hashable, Sendable {
  /// One probe that has ended.
  public struct Result: Hashable, Sendable {
    /// When it ended.
    public var at: Instant
    /// From the question to its answer, or to its failure.
    public var took: Duration
    /// Nil: it succeeded.
    public var fault: Fault?

    /// A probe that ended at `at`; without a fault it succeeded.
    public init(at: Instant, took: Duration, fault: Fault? = nil) {
      self.at = at
      self.took = took
      self.fault = fault
    }
  }

  /// The last probe that ended.
  public var last: Result?
  /// When one last succeeded.
  public var lastGood: Instant?
  /// Failures since the last success.
  public var failuresInRow = 0
  /// Successes since the last failure.
  public var successesInRow = 0

  /// No probe yet.
  public init() {}
}

/// Logins: whether new ones work, and when the next is tried.
public struct LoginReport: Hashable, Sendable {
  /// What the last failed attempt met.
  public var lastFault: Fault?
  /// When it failed.
  public var lastFaultAt: Instant?
  /// When one last succeeded.
  public var lastSuccessAt: Instant?
  /// How long the last successful login took.
  public var lastTook: Duration?
  /// Failures since the last success.
  public var failuresInRow = 0
  /// Set while a login is wanted and held back.
  public var notBefore: Instant?

  /// No login yet.
  public init() {}

  /// The last attempt failed.
  public var isFailing: Bool { failuresInRow > 0 }
}

/// The server's room: as it was last read, and whether logins wait for it.
public struct RoomReport: Hashable, Sendable {
  /// Nil before it was read, and where it cannot be.
  public var reading: ServerRoom?
  /// When that was.
  public var readAt: Instant?
  /// How many sessions there was too little room for: logins wait. Nil if they do not.
  public var needed: Int?
  /// When it is read again.
  public var nextLook: Instant?
  /// The share it settles for (`elasticMin`); nil while it can have its floor.
  public var share: Int?

  /// What is known of it.
  public init(
    reading: ServerRoom? = nil, readAt: Instant? = nil, needed: Int? = nil, nextLook: Instant? = nil,
    share: Int? = nil
  ) {
    self.reading = reading
    self.readAt = readAt
    self.needed = needed
    self.nextLook = nextLook
    self.share = share
  }
}

/// Tickets: whether it waits for one, or warms without (`fleetTickets`).
public struct TicketReport: Hashable, Sendable {
  /// How an instance stands with them.
  public enum State: Hashable, Sendable {
    /// It does not warm, or needs no other connection for that; or tickets are off.
    case notNeeded
    /// It asks for one now and then.
    case waiting
    /// It has one, at most until then.
    case held(until: Instant)
    /// It is warm and keeps one until the application has its sessions, of which there are so many, at most until then.
    case heldForApp(sessions: Int, until: Instant)
    /// It warms without, because none was free in time.
    case waitedTooLong
    /// It warms without, because there can be none here, and why.
    case unavailable(String)

    /// A name without values, for JSON.
    public var name: String {
      switch self {
      case .notNeeded: "not_needed"
      case .waiting: "waiting"
      case .held: "held"
      case .heldForApp: "held_for_app"
      case .waitedTooLong: "waited_too_long"
      case .unavailable: "unavailable"
      }
    }
  }

  /// How many there are; 0: tickets are off.
  public var tickets: Int
  /// How it stands.
  public var state: State
  /// Since when one has been wanted.
  public var wantedSince: Instant?

  /// What is known of them.
  public init(tickets: Int = 0, state: State = .notNeeded, wantedSince: Instant? = nil) {
    self.tickets = tickets
    self.state = state
    self.wantedSince = wantedSince
  }
}

/// How far a drain has come. Counts are of leases.
public struct DrainProgress: Hashable, Sendable {
  /// How far a drain can have come.
  public enum Stage: String, Hashable, Sendable {
    /// `/ready` is 503, everything else works as usual: traffic is still arriving. → closing
    case lameDuck = "lame-duck"
    /// Nothing new is served; leases in use may finish. → done
    case closing
    /// No connection is left.
    case done
  }

  /// How far it has come.
  public var stage: Stage
  /// When it was asked for.
  public var began: Instant
  /// When leases in use are cut off.
  public var deadline: Instant
  /// When no connection was left; nil while it goes on.
  public var ended: Instant?
  /// Leases in use when closing began.
  public var inUse = 0
  /// Of those, the ones that were released in time.
  public var finished = 0
  /// Of those, the ones the deadline cut off.
  public var cut = 0
  /// Callers that waited for a connection when closing began, and were refused.
  public var refused = 0
  /// Connections that were closed.
  public var closed = 0

  /// A drain in this stage, with nothing counted yet.
  public init(stage: Stage, began: Instant, deadline: Instant) {
    self.stage = stage
    self.began = began
    self.deadline = deadline
  }
}

/// A change of phase or verdict, with what caused it.
public struct Transition: Hashable, Sendable {
  /// When.
  public var at: Instant
  /// The phase before.
  public var from: Snapshot.Phase
  /// The phase after; the same if only the degradation changed.
  public var to: Snapshot.Phase
  /// Ready after it, with something wrong.
  public var degraded: Bool
  /// Why it is not ready after it, or what is wrong.
  public var reasons: [Reason]

  /// A change from one phase to another, or of the degradation.
  public init(at: Instant, from: Snapshot.Phase, to: Snapshot.Phase, degraded: Bool, reasons: [Reason]) {
    self.at = at
    self.from = from
    self.to = to
    self.degraded = degraded
    self.reasons = reasons
  }
}

/// One kind of fault as it was last seen, and how often in a row.
public struct FaultRecord: Hashable, Sendable {
  /// As it was last seen.
  public var fault: Fault
  /// When it was seen first.
  public var first: Instant
  /// When it was last seen.
  public var last: Instant
  /// How often it was seen.
  public var count: Int

  /// A fault that was seen `count` times between the two.
  public init(fault: Fault, first: Instant, last: Instant, count: Int) {
    self.fault = fault
    self.first = first
    self.last = last
    self.count = count
  }
}

/// Totals since the process started.
public struct Counters: Hashable, Sendable {
  /// Logins that ended in a session.
  public var loginsSucceeded = 0
  /// Logins that failed.
  public var loginsFailed = 0
  /// Logins that were not needed any more before they ended, or found that no other host is the primary.
  public var loginsAbandoned = 0
  /// Probes that were answered as wanted.
  public var probesSucceeded = 0
  /// Probes that were not.
  public var probesFailed = 0
  /// How often it warmed without a ticket although it wanted one.
  public var warmedWithoutTicket = 0
  /// Leases that were granted.
  public var leases = 0
  /// Leases whose connection was dead at their first statement, and that asked for another one.
  public var exchanges = 0
  /// Leases that were held longer than `leakAfter`.
  public var leaks = 0
  /// By `AcquireRefusal.name`.
  public var acquireFailures: [String: Int] = [:]
  /// Callers that went away while they waited.
  public var acquiresCancelled = 0
  /// By `CloseReason.rawValue`.
  public var closes: [String: Int] = [:]
  /// Whatever went wrong with the database, or on the way to it.
  public var faults = FaultCounts()
  /// Events that the rules say cannot happen. Anything but zero is a bug.
  public var impossibleEvents = 0
  /// Changes of the verdict of `/ready`.
  public var readyTransitions = 0

  /// All zero.
  public init() {}
}
