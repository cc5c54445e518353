public import PoolCore

/// What the pool tells its owner, for the log. Called on the pool's loop: it must return at once.
public enum PoolEvent: Sendable {
  /// The phase, or the degradation, changed.
  case transition(Transition)
  /// A fault of a kind that was not seen lately.
  case fault(Fault, during: FaultContext)
  /// A login succeeded after so many failures.
  case loginsWork(after: Int)
  /// A connection was opened.
  case connected(ConnectionID, host: String, backendPID: Int32, took: Duration)
  /// A connection was closed, and why.
  case closed(ConnectionID, CloseReason)
  /// A lease has been held longer than `leakAfter`. Said once; it is not closed.
  case leaked(LeaseID, ConnectionID, held: Duration, site: AcquisitionSite?)
  /// A lease that was reported has come back.
  case leakReturned(LeaseID, ConnectionID, held: Duration, site: AcquisitionSite?)
  /// All connections are given up together, and why; leases in use go on until they are released.
  case retired(Retirement)
  /// The server does not tell which database cluster it is, and why: that another one answers is not noticed.
  case clusterHidden(Fault)
  /// The server has too little room for so many sessions, and logins wait for it. Said once.
  case noSlots(ServerRoom, needed: Int)
  /// It warms without a ticket of the fleet, and why.
  case noTicket(TicketReport)
  /// There is room again.
  case slotsFree
  /// How many sessions the server has cannot be read, and why: what it refuses is all that is known of its room.
  case roomHidden(String)
  /// Callers are refused at once from now on (open; half-open while an attempt is under way), or no longer (closed).
  case breaker(BreakerReport, from: BreakerReport.State)
  /// A session at the server, this instance's or a neighbour's, is idle in a transaction for longer than `leakAfter`.
  /// Once per transaction.
  case sessionLeaked(SessionLeak)
  /// It has ended, or goes on.
  case sessionLeakEnded(SessionLeak)
  /// Some sessions cannot be watched for leaks, or none at the moment, and why.
  case sessionsHidden([SessionLeaks.Limit])
}
