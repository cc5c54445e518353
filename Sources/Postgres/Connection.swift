import EventLoop
import PoolCore
import Synchronization

/// A logged-in session, on the loop of its connector.
///
/// It is watched from the login on: when the server or the network ends it, whoever asked with `onEnd` knows within
/// a millisecond of the socket saying so, and why, if the server said why.
public actor Connection {
  /// The host of the URL that it is connected to.
  public nonisolated let host: HostID
  /// `host:port`, or the path of the Unix socket.
  public nonisolated let hostLabel: String
  /// The server's process for this session (behind a pooler, what the pooler made up).
  public nonisolated let backendPID: Int32
  /// As `150018` for 15.18.
  public nonisolated let serverVersion: Int
  /// From the start of the attempt at this host to its end: name, TCP, TLS, authentication.
  public nonisolated let loginTook: Duration
  /// The server said at the login that it can be written to: it is no standby, and transactions are not read-only
  /// unless they ask for it. False also for a server that does not say (PostgreSQL 13 and earlier).
  public nonisolated let beganWritable: Bool
  /// The loop it lives on.
  public nonisolated let loop: EventLoop

  public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  // Of what each statement needs, overlapping accesses are not checked for at run time: the loop alone has it, and none is
  // held while something else is called.
  @exclusivity(unchecked) var state: State
  @exclusivity(unchecked) var watch: Watch?
  var endHandler: (@Sendable (Fault) -> Void)?
  @exclusivity(unchecked) var statements: UInt64 = 0
  /// A result was read row by row, which libpq would go on with in a batch.
  var isRowByRow = false
  /// How often something has come from the server.
  @exclusivity(unchecked) public internal(set) var arrivals: UInt64 = 0
  /// The turn of the loop in which the socket was last read.
  @exclusivity(unchecked) var readInTurn: UInt64 = 0
  /// The statement that the socket was last ready for.
  @exclusivity(unchecked) var heard: UInt64 = 0
  /// The statement of which it is certain that the kernel took nothing.
  var refused: UInt64 = 0
  @exclusivity(unchecked) var cache: StatementCache
  /// Whose statements are not asked the short way any more; 0 nobody's.
  var cancelledHolder: UInt64 = 0
  /// ThreadSanitizer does not see how the runtime orders an answer that comes before it is awaited; it sees this.
  nonisolated let hasAnswered = Atomic<Bool>(false)
  /// The last error was that a prepared statement returns something else now.
  @exclusivity(unchecked) var planIsOutdated = false

  enum State {
    /// → running, streaming, over, closed
    case idle(Session)
    /// → idle, over, closed
    case running(Session, RunningStatement)
    /// Rows are taken a batch at a time. → idle, over, closed
    case streaming(Session, RowStream)
    /// Of no use any more, by the server, the network or a cancelled statement. → closed
    case over(Fault)
    case closed
  }

  /// Nil: it went the short way, was not executed, and is to be asked with `query`.
  package typealias Answer = Result<QueryResult, QueryError>?

  /// Who is told the answer.
  enum Asker {
    case task(UnsafeContinuation<Answer, Never>)
    case listener(any AnswerListener)
  }

  /// A statement that waits for its answer.
  final class RunningStatement {
    let number: UInt64
    let asker: Asker
    /// Set if it went the short way.
    var ask: (holder: UInt64, sql: String, name: String)?
    var result: ResultMemory?
    var failure: QueryError?
    /// Set for a batch; then `result` is the last one.
    var pipeline: Pipeline?
    /// The server is ready for the next one.
    var isComplete = false
    /// Stops it when its time is up.
    var timer: TimerToken?
    /// The server was asked to stop it.
    var stop: Stop?

    init(_ number: UInt64, _ asker: Asker) {
      self.number = number
      self.asker = asker
    }
  }

  /// The session, as long as there is one.
  var session: Session? {
    switch state {
    case .idle(let session), .running(let session, _), .streaming(let session, _): session
    case .over, .closed: nil
    }
  }

  /// The number of the statement that waits for its answer, if one does. Rows that are taken one by one are not waited
  /// for: their reader sets the pace.
  public var statementUnderWay: UInt64? {
    if case .running(_, let statement) = state { statement.number } else { nil }
  }

  /// Takes over a session that has just logged in. On the loop.
  static func open(
    _ session: Session, host: Host, on loop: EventLoop, took: Duration, prepares: Bool
  ) throws(Fault) -> Connection {
    let connection = Connection(session, host: host, on: loop, took: took, prepares: prepares)
    if let failure = connection.assumeIsolated({ $0.startWatching(session) }) {
      throw Fault(.other, at: .session, host: host.label, message: failure.description)
    }
    return connection
  }

  private init(_ session: Session, host: Host, on loop: EventLoop, took: Duration, prepares: Bool) {
    self.host = host.id
    hostLabel = host.label
    backendPID = session.backendPID
    serverVersion = session.serverVersion
    loginTook = took
    beganWritable =
      session.parameterStatus("in_hot_standby") == "off"
      && session.parameterStatus("default_transaction_read_only") == "off"
    self.loop = loop
    cache = StatementCache(prepares: prepares)
    state = .idle(session)
  }

  isolated deinit { close() }
}
