/// What happened, told to `PoolCore` with its time. Nothing else ever changes it.
public enum Event: Sendable {
  /// The pool runs: it may connect.
  case begin
  /// `nextWake` has come. Too early or too late does no harm.
  case wake
  /// A login has succeeded, at this host. `server` is nil if it does not tell which one it is.
  case loggedIn(ConnectionID, host: HostID, server: ServerID? = nil, took: Duration)
  /// A login has failed.
  case loginFailed(ConnectionID, Fault)
  /// What the server said of its room; nil if it cannot be read.
  case roomAnswered(ConnectionID, ServerRoom?)
  /// What came of asking for a ticket.
  case ticketAnswered(ConnectionID, TicketAnswer)
  /// How many sessions the application has; nil if they cannot be told from others.
  case appCounted(ConnectionID, Int?)
  /// The probe query, with everything that is asked besides it, was answered as wanted.
  case probeAnswered(ConnectionID)
  /// `usable`: the connection itself still works, as after an SQL error.
  case probeFailed(ConnectionID, Fault, usable: Bool)
  /// A statement has had no answer for a while, and nothing has come from the server on any connection meanwhile.
  case unanswered
  /// The empty query of a `verify` was answered.
  case verified(ConnectionID)
  /// No question is under way on the connection any more.
  case finished(ConnectionID)
  /// The server or the network ended a connection, in use or not.
  case ended(ConnectionID, Fault)
  /// A caller wants a connection, at the latest by the deadline. Ends in `grant` or `refuse`, unless
  /// abandoned.
  case acquire(LeaseID, deadline: Instant)
  /// The caller no longer waits. Ignored if it has been granted or refused meanwhile.
  case abandon(LeaseID)
  /// `reusable` is false if the session cannot be used again; the fault says why if one did it.
  case release(LeaseID, ConnectionID, reusable: Bool, Fault?)
  /// The lease's connection was dead before anything was sent on it: it is given up for a fresh one, ahead of
  /// whoever waits, because its turn has come already. Ends in `grant` or `refuse`.
  case exchange(LeaseID, ConnectionID, Fault, deadline: Instant)
  /// The password may be another one now.
  case credentialsChanged
  /// Servers have exchanged their roles, or seem to: what was refused a moment ago may be had now.
  case rolesChanged
  /// Starts a drain, or joins the one under way; joining can bring its deadline forward, never back.
  case drain(deadline: Instant)
  /// Whoever asks regularly whether it is ready has heard of the drain.
  case probersTold
  /// As `drain`, for good: no resume any more, and without the delay when no lease was taken lately.
  case terminate(deadline: Instant)
  /// Takes the drain back. Ends in `resumed` or `resumeRefused`.
  case resume
}

/// What the shell has to do, in this order.
public enum Effect: Sendable {
  /// Log in. Ends in `loggedIn` or `loginFailed`.
  case login(ConnectionID, at: LoginPlace)
  /// Give the login up: no event about it is needed any more.
  case abandonLogin(ConnectionID)
  /// Ask the probe query. Ends in `probeAnswered` or `probeFailed`, unless closed before.
  case probe(ConnectionID)
  /// Ask how much room the server has. Ends in `roomAnswered`, unless closed before.
  case askRoom(ConnectionID)
  /// Ask for a ticket. Ends in `ticketAnswered`, unless closed before.
  case askTicket(ConnectionID)
  /// Give the ticket back that this connection has, if it still stands.
  case returnTicket(ConnectionID)
  /// Count the sessions of the application beside this pool. Ends in `appCounted`, unless closed before.
  case countApp(ConnectionID)
  /// Ask an empty query. Ends in `verified` or `ended`, unless closed before.
  case verify(ConnectionID)
  /// A drain wants to close the connection. Ends in `finished`, once what is asked on it is answered: at a client that
  /// leaves with a question under way, the server would log an error. Unless closed before.
  case finish(ConnectionID)
  /// End the connection.
  case close(ConnectionID, CloseReason)
  /// Nothing will come on this leased connection any more: a statement that waits there fails, and so does the next.
  /// The connection stays with its lease.
  case cut(ConnectionID, Fault)
  /// Hand the connection to the caller of this lease.
  case grant(LeaseID, ConnectionID)
  /// Tell the caller that there is none.
  case refuse(LeaseID, AcquireRefusal)
  /// The lease has been held longer than `leakAfter`: for the log. Said once.
  case leaked(LeaseID, ConnectionID, held: Duration)
  /// A lease that was reported has come back, or was cut off: for the log.
  case leakReturned(LeaseID, ConnectionID, held: Duration)
  /// Callers are refused at once from now on, or no longer: for the log.
  case breaker(BreakerReport, from: BreakerReport.State)
  /// Tell those who wait for the drain that it is done.
  case drained(DrainProgress)
  /// The drain under way was taken back by a resume.
  case drainTakenBack
  /// The resume is accepted: the pool warms again.
  case resumed
  /// The resume is refused, for this reason.
  case resumeRefused(String)
  /// All connections of a generation are given up: for the log.
  case retired(Retirement)
  /// The phase or the degradation changed: for the log.
  case transition(Transition)
  /// A fault of a kind that was not there before: for the log.
  case fault(Fault, during: FaultContext)
  /// The server has too little room, and logins wait for it: for the log. Said once.
  case noSlots(ServerRoom, needed: Int)
  /// It warms without a ticket, and why: for the log.
  case noTicket(TicketReport)
  /// There is room again: for the log.
  case slotsFree
  /// Logins work again after failures: for the log.
  case loginsWork(after: Int)

  /// Whether it tells of a change of phase, degradation or the breaker.
  public var isTransition: Bool {
    switch self {
    case .transition, .breaker: true
    default: false
    }
  }
}

/// Which hosts of the URL a login asks.
public enum LoginPlace: Hashable, Sendable {
  /// All, until one will do.
  case anywhere
  /// That one.
  case only(HostID)
  /// All but that one.
  case elsewhere(than: HostID)

  /// Whether it asks this one.
  public func includes(_ host: HostID) -> Bool {
    switch self {
    case .anywhere: true
    case .only(let one): host == one
    case .elsewhere(let other): host != other
    }
  }
}

/// What was being done when a fault occurred.
public enum FaultContext: String, Hashable, Sendable {
  /// Logging in.
  case login
  /// Asking the probe query.
  case probe
  /// Anything else on a connection, such as a statement, or nothing at all.
  case connection
}

/// Why a connection was closed.
public enum CloseReason: String, Hashable, Sendable, CaseIterable {
  /// The server or the network had ended it.
  case ended
  /// It did not answer in time.
  case silent
  /// It was given back unusable.
  case broken
  /// All connections of its generation were given up.
  case retired
  /// It reached its maximal age and was replaced.
  case maxLifetime = "max_lifetime"
  /// Nobody had used it for long, and the floor does without it.
  case idleTimeout = "idle_timeout"
  /// It is at another host than the probe's connection.
  case otherHost = "other_host"
  /// The server has no room for the whole floor, and this is not kept without the rest.
  case noSlots = "no_slots"
  /// Another database cluster answers now than the one it is connected to.
  case otherCluster = "other_cluster"
  /// Idle when a drain closed the pool.
  case drain
  /// In use at the deadline of a drain.
  case cutOff = "cut_off"
}

/// Why a caller got no connection.
public enum AcquireRefusal: Hashable, Sendable {
  /// None became free before the caller's deadline.
  case timedOut(waited: Duration)
  /// As many as may wait were waiting already.
  case queueFull(limit: Int)
  /// A drain is closing the pool: nothing new is served.
  case draining
  /// No connection is left, and attempts to get one keep failing: with what they meet, and when the next is due
  /// (nil: one is under way).
  case circuitOpen(because: Fault?, nextAttempt: Duration?)
  /// `max-connections` is 1, and that one is the probe's.
  case noCapacity

  /// A refusal without its values.
  public enum Kind: String, Hashable, Sendable, CaseIterable {
    /// As `AcquireRefusal.timedOut`.
    case timedOut = "timed_out"
    /// As `AcquireRefusal.queueFull`.
    case queueFull = "queue_full"
    /// As `AcquireRefusal.draining`.
    case draining
    /// As `AcquireRefusal.circuitOpen`.
    case circuitOpen = "circuit_open"
    /// As `AcquireRefusal.noCapacity`.
    case noCapacity = "no_capacity"
  }

  /// Which it is.
  public var kind: Kind {
    switch self {
    case .timedOut: .timedOut
    case .queueFull: .queueFull
    case .draining: .draining
    case .circuitOpen: .circuitOpen
    case .noCapacity: .noCapacity
    }
  }

  /// A name without values, for metrics and JSON.
  public var name: String { kind.rawValue }
}
