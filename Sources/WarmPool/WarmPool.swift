import EventLoop
public import PoolCore
import Postgres
import Synchronization

#if DEBUG
  import Glibc
#endif

/// A pool of PostgreSQL connections that is warmed before it is used, recovers by itself, and drains cleanly.
///
/// The decisions are `PoolCore`'s. This actor lives on one event loop together with its connections, tells the core
/// what happened, and carries out what it answers: nothing here decides.
///
/// `run()` owns everything; connections are lent for the time of a closure:
///
///     let pool = try WarmPool(configuration)
///     async let running: Void = pool.run()
///     try await pool.warmed(within: .seconds(30))
///     let names = try await pool.query("SELECT name FROM users", as: String.self)
///     try await pool.terminate(within: .seconds(25))
///     await running
public actor WarmPool {
  /// As it was made with.
  public nonisolated let configuration: Configuration
  public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

  /// The thread the pool lives on. A task that prefers it (`Task(executorPreference:)`) talks to the pool without
  /// changing threads, and must not block it.
  public nonisolated let executor: any TaskExecutor

  nonisolated let loop: EventLoop
  nonisolated let published: Mutex<PublishedSnapshot>
  let connector: Connector
  /// Where tickets are taken, if that is another database.
  let ticketConnector: Connector?
  /// The session there.
  @exclusivity(unchecked) var ticketSession: Connection?
  let question: ProbeQuestion
  let tell: (@Sendable (PoolEvent) -> Void)?
  /// Set for one of several pools that serve the same reads.
  let standby: StandbyMembership?

  // Of what every lease needs, overlapping accesses are not checked for at run time: the loop alone has it, and none is held
  // while something else is called.
  @exclusivity(unchecked) var core: PoolCore
  @exclusivity(unchecked) var effects: [Effect] = []
  @exclusivity(unchecked) var needsPublishing = false
  var history = History()
  @exclusivity(unchecked) var wake: (at: Instant, token: TimerToken)?
  var nextBeat: TimerToken?
  var passwordWatch: PasswordWatch?

  @exclusivity(unchecked) var connections: [ConnectionID: PooledConnection] = [:]
  var logins: [ConnectionID: Task<Void, Never>] = [:]
  /// How often something had come from the server by the last beat.
  var heard: UInt64 = 0
  /// Probes and verifications under way; a connection has one at a time.
  var questions: [ConnectionID: Task<Void, Never>] = [:]

  var sessionWatch: SessionWatch
  /// What is asked on the probe's connection between two probes, one question at a time.
  var aside: (number: UInt64, connection: Connection, task: Task<Void, Never>)?
  /// Why the server's room cannot be read, when it was last asked.
  var roomHidden: String?
  /// Why the server does not say which cluster it is, when it was last asked.
  var clusterHidden: Fault?

  @exclusivity(unchecked) var lastLease: UInt64 = 0
  /// Each is taken out to be resumed, so it is resumed once.
  @exclusivity(unchecked) var acquiring = Acquisitions()
  /// As a standby in doubt does with all of them.
  var isSendingAway = false
  /// The connection of the lease that is ending.
  @exclusivity(unchecked) var handedBack: PooledConnection?
  /// Granted connections with something to read, which is to be read first.
  @exclusivity(unchecked) var unquiet: [(LeaseID, ConnectionID)] = []
  /// Lent to callers whose statements are to be asked.
  @exclusivity(unchecked) var toAsk: [PooledConnection] = []
  /// As those are asked one after the other, not one within the other.
  @exclusivity(unchecked) var isAsking = false
  /// Where those were acquired that have been held too long.
  var leakSites: [LeaseID: AcquisitionSite] = [:]
  var drainWaiters: [UInt64: CheckedContinuation<DrainProgress, any Error>] = [:]
  var resumeRefusal: String?
  var phaseWaiters: [PhaseWaiter] = []
  /// What the phase waiters know already.
  @exclusivity(unchecked) var toldPhase = Snapshot.Phase.starting
  @exclusivity(unchecked) var toldTerminating = false
  @exclusivity(unchecked) var isTerminating = false

  /// Checks the settings and starts the loop; connects to nothing before `run()`. Throws on bad settings only.
  /// `tell` hears what goes on, on the pool's loop.
  public init(
    _ configuration: Configuration, seed: UInt64? = nil, tell: (@Sendable (PoolEvent) -> Void)? = nil
  ) throws(SettingsError) {
    try self.init(configuration, seed: seed, standby: nil, tell: tell)
  }

  init(
    _ configuration: Configuration, seed: UInt64?, standby: StandbyMembership?,
    tell: (@Sendable (PoolEvent) -> Void)?
  ) throws(SettingsError) {
    try configuration.validate()
    var database = try Database(
      url: configuration.databaseURL, passwordFile: configuration.passwordFile,
      applicationName: configuration.applicationName, connectTimeout: configuration.pool.connectTimeout,
      role: configuration.requireRole)
    try database.checkPasswordFile()
    if let standby { database = database.at(standby.host) }
    do {
      loop = try EventLoop(name: "pool")
      try loop.start()
    } catch {
      throw SettingsError(
        "max-connections", "the system has no descriptor or thread left for the pool: \(error)")
    }
    executor = LoopTaskExecutor(loop)
    self.configuration = configuration
    self.tell = tell
    self.standby = standby
    connector = Connector(
      loop: loop, database: database, preparesStatements: configuration.preparesStatements)
    if let name = configuration.ticketsDatabase {
      ticketConnector = Connector(loop: loop, database: database.inDatabase(name), preparesStatements: false)
    } else {
      ticketConnector = nil
    }
    question = ProbeQuestion(
      query: configuration.probeQuery, expect: configuration.probeExpect, role: configuration.requireRole,
      maxReplayLag: configuration.maxReplayLag)
    let now = EventLoop.now()
    let sessions = SessionQuestion(
      neighbourPrefix: configuration.applicationNamePrefix, leakAfter: configuration.pool.leakAfter)
    sessionWatch = SessionWatch(question: sessions, next: now + sessions.interval)
    var random = SystemRandomNumberGenerator()
    core = PoolCore(
      settings: configuration.pool, seed: seed ?? random.next(), drained: configuration.startDrained,
      insistsOnPrimary: database.insistsOnPrimary, waitsForProbers: configuration.probersTold != nil, at: now)
    published = Mutex(PublishedSnapshot(core.snapshot(at: now)))
    passwordWatch = configuration.passwordFile.map(PasswordWatch.init(path:))
  }

  deinit { loop.stop() }

  // MARK: - Life

  /// Warms the pool and keeps it, until it has ended for good: `terminate`, or cancellation of this call, which
  /// terminates it with `drainTimeout` for leases to finish. A `drain` alone does not end it: it can be resumed.
  public func run() async {
    begin()
    let timeout = configuration.pool.drainTimeout
    await withTaskCancellationHandler {
      await ended()
    } onCancel: {
      loop.post { self.assumeIsolated { $0.end(within: timeout) } }
    }
    stop()
  }

  /// Returns when `minConnections` are open and the probe has answered. Throws a `PoolError` with the reason if the
  /// pool has ended, or is not warm after `timeout` (nil: however long it takes), and `CancellationError`.
  public func warmed(within timeout: Duration? = nil) async throws {
    try await waitUntilReady(timeout)
  }

  // MARK: - Leases

  /// Lends a connection to `body`, and takes it back whatever happens there.
  ///
  /// Throws a `PoolError` of kind `.acquire` if none can be had, `CancellationError` if the task was cancelled while
  /// waiting, and whatever `body` throws.
  ///
  /// - Parameters:
  ///   - timeout: how long to wait for a connection, `acquireTimeout` if nil. Zero: what is free now, or nothing.
  ///   - tag: the session's `application_name` for the time of the lease (PostgreSQL keeps 63 bytes), to find a
  ///     request in `pg_stat_activity` and the server's log. One more round trip.
  ///   - resetting: what is undone before somebody else gets the connection.
  ///   - file: where it is acquired, for the report of a lease that is held too long.
  ///   - line: the line there.
  ///   - isolation: the caller's actor, on which `body` runs.
  ///   - body: what is done with the connection.
  public func withConnection<Result>(
    timeout: Duration? = nil, tag: String? = nil, resetting: SessionReset = .transaction,
    file: StaticString = #fileID, line: UInt = #line, isolation: isolated (any Actor)? = #isolation,
    _ body: (borrowing Lease) async throws -> Result
  ) async throws -> Result {
    try Task.checkCancellation()
    let patience = timeout ?? configuration.pool.acquireTimeout
    let site = AcquisitionSite(file: file, line: line, task: Task.name)
    let caller = Acquisition(.lease, within: patience, at: site)
    // One handler for all that is waited for in there, the answers of statements included: adding one is not cheap.
    return try await withTaskCancellationHandler {
      _ = isolation
      let grant = try await response(to: caller, Acquisition.Waiting.forConnection)
      let loan = try taken(grant, patience, resetting: resetting, by: site)
      return try await Self.lend(loan, tag: tag, body)
    } onCancel: {
      cancelled(caller)
    }
  }

  /// Lends what has been acquired, and gives it back to whichever pool it is of by then.
  nonisolated static func lend<Result>(
    _ loan: Loan, tag: String?, _ body: (borrowing Lease) async throws -> Result
  ) async throws -> Result {
    let lease = Lease(loan: loan)
    do {
      if let tag { try await lease.tag(tag) }
      let result = try await body(lease)
      loan.pool.giveBack(loan)
      return result
    } catch {
      loan.pool.giveBack(loan)
      throw error
    }
  }

  // MARK: - Drain

  /// Starts a drain, or joins the one under way, and does not wait for its end: when it returns, the pool is not ready.
  public func beginDrain(within timeout: Duration? = nil) {
    handle(.drain(deadline: EventLoop.now() + (timeout ?? configuration.pool.drainTimeout)))
  }

  /// Ends the pool's work: not ready from this moment on, then leases finish until the deadline. Joins a drain that is
  /// under way; the earlier deadline holds. Returns the counts when no connection is left, and throws a `PoolError` of
  /// kind `.drainTakenBack` if a resume came in between. When its task is cancelled it throws `CancellationError`, and
  /// the drain goes on.
  @discardableResult
  public func drain(within timeout: Duration? = nil) async throws -> DrainProgress {
    try await drained { .drain(deadline: $0 + (timeout ?? self.configuration.pool.drainTimeout)) }
  }

  /// As `drain`, for good: it cannot be taken back, and skips the delay if no lease was taken lately. `run` returns
  /// after it.
  @discardableResult
  public func terminate(within timeout: Duration? = nil) async throws -> DrainProgress {
    isTerminating = true
    return try await drained { .terminate(deadline: $0 + (timeout ?? self.configuration.pool.drainTimeout)) }
  }

  /// Takes a drain back: warms again and returns to ready. Throws a `PoolError` once the pool is ending for good.
  public func resume() throws {
    resumeRefusal = nil
    handle(.resume)
    if let resumeRefusal { throw PoolError(.resumeRefused(resumeRefusal), pool: snapshot.pool) }
  }

  // MARK: - Looking at it

  /// What the pool knows about itself: any thread, no waiting. At most half a second old, unless the loop is stuck.
  public nonisolated var snapshot: Snapshot { published.withLock { $0.snapshot } }

  /// The same, for those who look thousands of times a second.
  package nonisolated var sharedSnapshot: SharedSnapshot { published.withLock { $0.shared } }

  /// The clock of every `Instant` in a snapshot.
  public nonisolated static func now() -> Instant { EventLoop.now() }

  #if DEBUG
    /// Test hook: blocks the loop, as a bug would.
    public nonisolated func blockLoop(for time: Duration) {
      loop.post { Glibc.usleep(UInt32(clamping: time.inNanoseconds / 1000)) }
    }
  #endif
}
