public import PoolCore
public import Postgres
import Synchronization

/// A pool for the primary and one for each standby of a URL with several hosts. Writes go to the primary, reads to the
/// standbys, and to the primary while there is none.
///
///     var configuration = WarmPool.Configuration(databaseURL: url)  // postgresql://app@db1,db2,db3/shop
///     configuration.maxReplayLag = .seconds(10)
///     let pool = try ReadWritePool(configuration)
///     async let running: Void = pool.run()
///     try await pool.warmed(within: .seconds(30))
///     try await pool.withConnection(.write) { db in _ = try await db.query("DELETE FROM carts WHERE id = 42") }
///     let names = try await pool.query(.read, "SELECT name FROM users", as: String.self)
///     let verdict = pool.snapshot.verdict(at: WarmPool.now())
///     log("\(verdict)")  // ready: primary: ready; standby db1:5432: is the primary; standby db2:5432: ready; …
///     try await pool.terminate(within: .seconds(25))
///     await running
///
/// Each host of the URL has a pool of its own, rather than all standbys one between them: all connections of a pool
/// are at the host that its probe asks, so one pool would put all reads on one standby, and a standby that is lost
/// or too far behind would take the good ones with it. The primary's host has one too, because roles may be exchanged
/// at any time; it opens nothing there while the primary's pool says that this is the primary.
///
/// **Sessions.** At most `maxConnections` at the primary and at each standby, for every instance of the service. Each
/// pool has a thread of its own.
///
/// **Reads** go to the least busy standby, in turn if all are alike. One that is lost, hangs, or is further behind than
/// `maxReplayLag` is passed over from the first sign of it; who waits there for a connection goes on to the next one, or
/// to the primary, within its deadline. So does the first statement of a lease, as long as not a byte of it was sent.
/// What has been sent fails, as in any pool. A standby that is only busy is not passed over: the primary does not get
/// the reads that are too many for the standbys, so its room stays the writers'.
///
/// **Roles** are followed. A standby that is promoted serves no reads any more from the end of its next statement, or
/// from the next probe, and the primary's pool looks for it at once; a primary that comes back as a standby is found
/// by the pool of its host, as soon as any lost server is. Nothing is written to a standby: a session keeps its role,
/// but for a promotion.
public final class ReadWritePool: Sendable {
  /// As it was made with; each pool's own differs in the role that it requires.
  public let configuration: WarmPool.Configuration
  /// What has to be possible for the whole to be ready.
  public let readyFor: Access

  let primary: WarmPool
  let standbys: [Standby]
  private let turn = Atomic<Int>(0)

  struct Standby: Sendable {
    let host: String
    let pool: WarmPool
  }

  var pools: [WarmPool] { [primary] + standbys.map(\.pool) }

  /// Checks the settings; connects to nothing before `run()`. Throws on bad settings only.
  ///
  /// - Parameters:
  ///   - configuration: of every pool, those of the standbys included; its `maxReplayLag` is theirs alone, and its
  ///     `requireRole` must be left alone. The probe's query must be one that a standby answers.
  ///   - standby: the limits of each standby's pool, where they are to be others. Nil: those of `configuration`.
  ///   - readyFor: `.write` is for services that cannot do without the primary, `.read` for those that only read. See
  ///     `ReadWriteSnapshot.verdict`.
  ///   - tell: hears what goes on in each pool, on that pool's thread: it must return at once.
  public init(
    _ configuration: WarmPool.Configuration, standby: PoolSettings? = nil, readyFor: Access = .write,
    tell: (@Sendable (ReadWritePart, PoolEvent) -> Void)? = nil
  ) throws(SettingsError) {
    guard configuration.requireRole == .any else {
      throw SettingsError("require-role", "must not be set for reading and writing: each pool has its own")
    }
    self.configuration = configuration
    self.readyFor = readyFor
    let roles = Roles()

    var ofPrimary = configuration
    ofPrimary.requireRole = .primary
    ofPrimary.maxReplayLag = nil
    primary = try WarmPool(ofPrimary, seed: nil, standby: nil) { event in
      roles.primary(tells: event)
      tell?(.primary, event)
    }

    var ofStandby = configuration
    ofStandby.requireRole = .standby
    ofStandby.pool = standby ?? configuration.pool
    // A single host is all there is to ask, whatever its role.
    let hosts = primary.hosts.count > 1 ? primary.hosts : []
    var standbys: [Standby] = []
    for host in hosts {
      let membership = StandbyMembership(
        host: host,
        loginRefusal: { roles.refusal(at: host) },
        wasPromoted: { roles.wasPromoted() })
      let pool = try WarmPool(ofStandby, seed: nil, standby: membership) { event in
        tell?(.standby(host: host.label), event)
      }
      standbys.append(Standby(host: host.label, pool: pool))
    }
    self.standbys = standbys
    roles.watch(primary, standbys)
  }

  // MARK: - Life

  /// Warms the pools and keeps them, until they have ended for good: as `WarmPool.run`.
  public func run() async {
    await withTaskGroup { group in
      for pool in pools { group.addTask { await pool.run() } }
    }
  }

  /// Returns when the whole is ready for what it is to be ready for: the primary's pool is warm, or for `.read` any of
  /// them. Throws as `WarmPool.warmed`, with what the primary's pool says.
  public func warmed(within timeout: Duration? = nil) async throws {
    if readyFor == .write || standbys.isEmpty { return try await primary.warmed(within: timeout) }
    try await withThrowingTaskGroup { group in
      for pool in pools { group.addTask { try await pool.warmed(within: timeout) } }
      var failure: (any Error)?
      while let result = await group.nextResult() {
        switch result {
        case .success: return group.cancelAll()
        case .failure(let error): failure = failure ?? error
        }
      }
      if let failure { throw failure }
    }
  }

  /// Ends the work of all pools: as `WarmPool.drain`. The counts are those of all together.
  @discardableResult
  public func drain(within timeout: Duration? = nil) async throws -> DrainProgress {
    try await everywhere { try await $0.drain(within: timeout) }
  }

  /// As `drain`, for good. `run` returns after it.
  @discardableResult
  public func terminate(within timeout: Duration? = nil) async throws -> DrainProgress {
    try await everywhere { try await $0.terminate(within: timeout) }
  }

  /// Takes a drain back. Throws a `PoolError` once the pools are ending for good.
  public func resume() async throws {
    for pool in pools { try await pool.resume() }
  }

  private func everywhere(
    _ end: @escaping @Sendable (WarmPool) async throws -> DrainProgress
  ) async throws -> DrainProgress {
    try await withThrowingTaskGroup { group in
      for pool in pools { group.addTask { try await end(pool) } }
      var total: DrainProgress?
      while let progress = try await group.next() { total = total?.joined(with: progress) ?? progress }
      return total ?? DrainProgress(stage: .done, began: WarmPool.now(), deadline: WarmPool.now())
    }
  }

  // MARK: - Leases

  /// Lends a connection to `body`: as `WarmPool.withConnection`, of a standby or the primary as `access` says.
  ///
  /// A read may see what was true a moment ago: up to `maxReplayLag`, and what this caller has just written is perhaps
  /// not there yet. Where that matters, read with `.write`.
  ///
  /// A `PoolError` of a read carries the counts of the pool that was asked last.
  public func withConnection<Result>(
    _ access: Access, timeout: Duration? = nil, tag: String? = nil, resetting: SessionReset = .transaction,
    file: StaticString = #fileID, line: UInt = #line, isolation: isolated (any Actor)? = #isolation,
    _ body: (borrowing Lease) async throws -> Result
  ) async throws -> Result {
    if access == .write || standbys.isEmpty {
      return try await primary.withConnection(
        timeout: timeout, tag: tag, resetting: resetting, file: file, line: line, body)
    }
    let site = AcquisitionSite(file: file, line: line, task: Task.name)
    let patience = timeout ?? configuration.pool.acquireTimeout
    let loan = try await find(by: WarmPool.now() + patience) { pool, patience in
      try await pool.acquire(patience, resetting: resetting, by: site, for: self)
    }
    return try await withTaskCancellationHandler {
      _ = isolation
      return try await WarmPool.lend(loan, tag: tag, body)
    } onCancel: {
      loan.cancelled()
    }
  }

  /// Runs one statement on a connection that is lent for it alone: as `WarmPool.query`, of a standby or the primary as
  /// `access` says.
  public func query(
    _ access: Access, _ sql: String, _ parameters: [Parameter] = [],
    file: StaticString = #fileID, line: UInt = #line, isolation: isolated (any Actor)? = #isolation
  ) async throws -> QueryResult {
    if access == .write || standbys.isEmpty {
      return try await primary.query(sql, parameters, file: file, line: line)
    }
    return try await withConnection(access, file: file, line: line) { db in
      try await db.query(sql, parameters)
    }
  }

  /// Runs one statement and reads every row as a `Decodable` value: as `WarmPool.query(_:_:as:file:line:isolation:)`, of
  /// a standby or the primary as `access` says.
  public func query<Row: Decodable>(
    _ access: Access, _ sql: String, _ parameters: [Parameter] = [], as type: Row.Type,
    file: StaticString = #fileID, line: UInt = #line, isolation: isolated (any Actor)? = #isolation
  ) async throws -> [Row] {
    try await query(access, sql, parameters, file: file, line: line).decode(type)
  }

  /// Runs `body` in a transaction: as `WarmPool.withTransaction`, where it belongs. One whose options say `readOnly`
  /// is a read, unless it is serializable: standbys refuse that. All others go to the primary.
  ///
  /// A read-only transaction that has to see what was just written goes there with
  /// `withConnection(.write) { db in try await db.withTransaction(…) }`.
  public func withTransaction<Result>(
    _ options: TransactionOptions = TransactionOptions(), retry: TransactionRetry? = nil,
    timeout: Duration? = nil, tag: String? = nil, resetting: SessionReset = .transaction,
    file: StaticString = #fileID, line: UInt = #line, _ body: (borrowing Lease) async throws -> Result
  ) async throws -> Result {
    try await primary.repeating(retry) {
      try await withConnection(
        options.access, timeout: timeout, tag: tag, resetting: resetting, file: file, line: line
      ) { db in try await db.withTransaction(options, body) }
    }
  }

  // MARK: - Looking at it

  /// What each pool knows about itself: any thread, no waiting.
  public var snapshot: ReadWriteSnapshot {
    ReadWriteSnapshot(
      primary: primary.snapshot,
      standbys: standbys.map { .init(.standby(host: $0.host), $0.pool.snapshot) }, readyFor: readyFor)
  }

  // MARK: - Finding a pool for a read

  /// How long a read waits for a standby that may be well in a moment, before it looks again.
  private static let lookAgainAfter: Duration = .milliseconds(20)

  /// Asks one pool after another for what a read needs, in the order of `ReadRoute`, until the deadline.
  private func find<Found>(
    by deadline: Instant, _ ask: (WarmPool, _ patience: Duration) async throws -> Found
  ) async throws -> Found {
    var route = ReadRoute(turn: turn.wrappingAdd(1, ordering: .relaxed).newValue)
    let began = WarmPool.now()
    while true {
      let now = WarmPool.now()
      let step = route.next(
        standbys: standbys.map { $0.pool.standing(at: now) }, primary: primary.standing(at: now))
      switch step {
      case .standby(let index):
        do { return try await ask(standbys[index].pool, deadline - now) } catch is PoolInDoubt {
          route.pass(index)
        } catch let error as PoolError where error.isOfLostPool { route.pass(index) }
      case .primary:
        return try await ask(primary, deadline - now)
      case .lookAgain where now < deadline:
        try await primary.pause(for: min(Self.lookAgainAfter, deadline - now))
      case .lookAgain:
        do { return try await ask(primary, .zero) } catch var error as PoolError {
          if case .acquire(.timedOut) = error.kind { error.kind = .acquire(.timedOut(waited: now - began)) }
          throw error
        }
      }
    }
  }

  /// Another pool for a lease on whose connection nothing has been sent; false if none is to be had.
  func move(_ loan: Loan, by deadline: Instant) async -> Bool {
    do {
      try await find(by: deadline) { pool, patience in try await pool.adopt(loan, within: patience) }
      return true
    } catch { return false }
  }
}

extension PoolError {
  /// No connection is to be had there, whoever asks.
  fileprivate var isOfLostPool: Bool {
    switch refusal {
    case .draining, .circuitOpen: true
    case .timedOut, .queueFull, .noCapacity, nil: kind == .ended
    }
  }
}

extension DrainProgress {
  /// That of two pools as of one.
  fileprivate func joined(with other: DrainProgress) -> DrainProgress {
    var both = DrainProgress(
      stage: stage, began: min(began, other.began), deadline: max(deadline, other.deadline))
    if let ended, let end = other.ended { both.ended = max(ended, end) }
    both.inUse = inUse + other.inUse
    both.finished = finished + other.finished
    both.cut = cut + other.cut
    both.refused = refused + other.refused
    both.closed = closed + other.closed
    return both
  }
}
