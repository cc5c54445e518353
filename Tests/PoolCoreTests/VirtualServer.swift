import PoolCore

/// What the database does in a test: a script that may be changed at any moment. It is asked when a login begins,
/// and when a query is sent.
struct VirtualServer {
  enum Login {
    case answers
    case refuses(Fault)
    /// Nothing comes back; the shell gives up after `connectTimeout`.
    case silent
  }

  enum Query {
    case answers
    /// The query fails and the connection goes on.
    case fails(Fault)
    /// The connection ends instead of an answer.
    case ends(Fault)
    case silent
  }

  var login = Login.answers
  var loginLatency: Duration = .milliseconds(2)
  var host = HostID(0)
  /// Nil: it does not tell.
  var cluster: ClusterID?
  /// When the server was started that every host leads to, as poolers do; nil: each is a server of its own.
  var start: Int64?
  /// The probe query of every connection that `queries` does not name.
  var probe = Query.answers
  /// The empty query of every connection that `queries` does not name.
  var emptyQuery = Query.answers
  /// What single connections do, probe and empty query alike.
  var queries: [ConnectionID: Query] = [:]
  var queryLatency: Duration = .milliseconds(1)

  /// Nil: it does not tell how many sessions it has, and takes as many as come.
  var slots: Int?
  /// Sessions of others.
  var foreign = 0
  /// Instances of the fleet, with how many sessions they have besides those of the pool that asks.
  var peers: (instances: Int, sessions: Int)?
  /// Those of the application; nil: they cannot be told from others.
  var appSessions: Int? = 0
  /// How many it does not tell of: they are still authenticating.
  var unseen = 0

  func isFull(with own: Int) -> Bool { slots.map { foreign + unseen + own >= $0 } ?? false }

  func room(with own: Int) -> ServerRoom? {
    slots.map {
      ServerRoom(
        maxConnections: $0, reserved: 0, used: foreign + own - 1,
        fleet: peers.map { .init(instances: $0.instances + 1, sessions: $0.sessions + own - 1) })
    }
  }

  func id(at host: HostID) -> ServerID? {
    cluster.map { ServerID($0, started: start ?? Int64(host.index)) }
  }

  /// Its processes are stopped, or its packets are dropped.
  mutating func hang() {
    login = .silent
    probe = .silent
    emptyQuery = .silent
    queries = [:]
  }

  mutating func heal() {
    login = .answers
    probe = .answers
    emptyQuery = .answers
    queries = [:]
  }

  mutating func refuse(_ fault: Fault) { login = .refuses(fault) }
}

extension Fault {
  static let refused = Fault(.refused, at: .tcp)
  static let closed = Fault(.closed, at: .idle)
  static let shutDown = Fault(.server(.adminShutdown), at: .idle)
  static let crashed = Fault(.server(.crashShutdown), at: .idle)
  static let starting = Fault(.server(.cannotConnectNow), at: .session)
  static let full = Fault(.server(.tooManyConnections), at: .session)
  static let wrongPassword = Fault(.server(.invalidPassword), at: .authentication)
  static let readOnly = Fault(.server(.readOnlyTransaction), at: .query)
  static let loginTimedOut = Fault(.timedOut, at: .tcp)
  static let unexpectedAnswer = Fault(.unexpectedAnswer, at: .probe)

  static func server(_ code: String, at step: Step = .session) -> Fault {
    Fault(SQLState(code).map(Kind.server) ?? .other, at: step)
  }
}
