/// A session at the server that has been idle in a transaction for longer than `leak-after`: somebody took it and
/// went away. It keeps its locks, and vacuum cannot pass it.
public struct SessionLeak: Hashable, Sendable {
  /// The server's process.
  public var pid: Int32
  /// When its transaction began, in the server's own words: with the process, this tells one leak from the next.
  public var transactionBegan: String
  /// What the session calls itself, in `pg_stat_activity`.
  public var applicationName: String
  /// The role it is logged in as.
  public var role: String
  /// It is one of this instance's own; otherwise of a neighbour in its pod.
  public var isOwn: Bool
  /// Since its last statement, at the time of the reading.
  public var idleFor: Duration

  /// A leak as the server described it.
  public init(
    pid: Int32, transactionBegan: String, applicationName: String, role: String, isOwn: Bool,
    idleFor: Duration
  ) {
    self.pid = pid
    self.transactionBegan = transactionBegan
    self.applicationName = applicationName
    self.role = role
    self.isOwn = isOwn
    self.idleFor = idleFor
  }

  func isSame(as other: SessionLeak) -> Bool {
    pid == other.pid && transactionBegan == other.transactionBegan
  }
}

/// What the server said of sessions that are idle in a transaction.
public struct SessionReading: Sendable {
  /// What is idle for too long, the longest first.
  public var leaks: [SessionLeak]
  /// Whose sessions were asked for.
  public var scope: SessionLeaks.Scope
  /// What of them could not be seen.
  public var limits: [SessionLeaks.Limit]

  /// A reading as the server gave it.
  public init(leaks: [SessionLeak], scope: SessionLeaks.Scope, limits: [SessionLeaks.Limit]) {
    self.leaks = leaks
    self.scope = scope
    self.limits = limits
  }
}

/// Sessions that leak at the server, as of the last reading.
public struct SessionLeaks: Hashable, Sendable {
  /// Whose sessions are watched. Those of this instance always are.
  public enum Scope: Hashable, Sendable {
    /// No others.
    case instance
    /// Those from the same client address: the pod's.
    case clientAddress
    /// Those whose `application_name` begins so.
    case applicationName(prefix: String)

    /// A name without values, for metrics and JSON.
    public var name: String {
      switch self {
      case .instance: "instance"
      case .clientAddress: "client_address"
      case .applicationName: "application_name"
      }
    }
  }

  /// What cannot be seen, and why.
  public enum Limit: Hashable, Sendable {
    /// A Unix socket has no client address.
    case unixSocket
    /// The server sees another address than this instance has.
    case otherAddress
    /// Without pg_read_all_stats the state and address of other roles' sessions are hidden.
    case ownRoleOnly
    /// The server did not answer in time; what is said is from before.
    case noAnswer
    /// It answered with an error; what is said is from before.
    case failed(Fault)

    /// What it means, and what to do, for anybody to read.
    public var words: String {
      switch self {
      case .unixSocket:
        "other sessions of this pod cannot be told apart over a Unix socket: set app-name-prefix"
      case .otherAddress:
        "other sessions of this pod cannot be told apart, because the server sees another address (NAT or a "
          + "pooler in between): set app-name-prefix"
      case .ownRoleOnly: "sessions of other roles are hidden: grant pg_read_all_stats to this role"
      case .noAnswer: "the server did not say in time"
      case .failed(let fault): "the server did not say: \(fault.summary)"
      }
    }
  }

  /// The last reading; nil before the first.
  public var checked: Instant?
  /// Whose sessions the last reading covers.
  public var scope = Scope.instance
  /// What the last reading could not see.
  public var limits: [Limit] = []
  /// Those that leak now, the longest idle first; at most 100.
  public var open: [SessionLeak] = []
  /// How many were found since the process started.
  public var total = 0

  /// Nothing read yet.
  public init() {}

  /// Takes a reading over. Returns what is new in it, and what has ended since the one before.
  public mutating func take(
    _ reading: SessionReading, at now: Instant
  ) -> (found: [SessionLeak], ended: [SessionLeak]) {
    let found = reading.leaks.filter { leak in !open.contains { $0.isSame(as: leak) } }
    let ended = open.filter { leak in !reading.leaks.contains { $0.isSame(as: leak) } }
    checked = now
    scope = reading.scope
    limits = reading.limits
    open = reading.leaks
    total += found.count
    return (found, ended)
  }
}
