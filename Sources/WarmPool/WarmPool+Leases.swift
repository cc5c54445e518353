import EventLoop
import PoolCore
import Postgres

/// Lending connections out, and taking them back.
extension WarmPool {
  /// What may be left to do on a connection that comes back; then it is closed instead.
  static let resetTimeout: Duration = .seconds(5)

  nonisolated func acquire(
    _ patience: Duration, resetting: SessionReset, by site: AcquisitionSite, for readers: ReadWritePool
  ) async throws -> Loan {
    try Task.checkCancellation()
    let grant = try await granted(Acquisition(.lease, within: patience, at: site))
    return try taken(grant, patience, resetting: resetting, by: site, for: readers)
  }

  /// Throws if the caller was cancelled when the connection was on its way to it.
  nonisolated func taken(
    _ grant: Acquisition.Grant, _ patience: Duration, resetting: SessionReset = .transaction,
    by site: AcquisitionSite, for readers: ReadWritePool? = nil
  ) throws -> Loan {
    let loan = loan(of: grant, patience, resetting: resetting, by: site, for: readers)
    if Task.isCancelled {
      giveBack(loan)
      throw CancellationError()
    }
    return loan
  }

  nonisolated func loan(
    of grant: Acquisition.Grant, _ patience: Duration, resetting: SessionReset = .transaction,
    by site: AcquisitionSite, for readers: ReadWritePool? = nil
  ) -> Loan {
    Loan(self, grant.id, grant.pooled, patience: patience, resetting: resetting, site: site, readers: readers)
  }

  // MARK: - Statements

  /// Runs a statement on the lease's connection: the short way if it is prepared there already.
  nonisolated func query(
    on loan: Loan, _ sql: String, _ parameters: [Parameter]
  ) async throws(PoolError) -> QueryResult {
    // The handler of a cancelled task has run, perhaps when the loan was in another place. From here on it finds it.
    let isCancelled = Task.isCancelled
    switch isCancelled ? nil : await loan.connection.askIfPrepared(sql, parameters, for: loan.id.number) {
    case .success(let result)?:
      loan.isUntouched = false
      return result
    case .failure(let error)? where error.connectionUsable || error.maybeExecuted:
      loan.isUntouched = false
      throw failure(error, of: loan)
    // It did not leave: what is to be done then is the long way's to know.
    case nil, .failure:
      return try await run(on: loan) { connection throws(QueryError) in
        try await connection.query(sql, parameters)
      }
    }
  }

  /// Runs a statement on the lease's connection. If it is the first one and the connection turns out to be dead
  /// before a byte of the statement has left, it runs once more, on another connection: if this pool has none and it
  /// is a read, of another pool.
  nonisolated func run<Result: Sendable>(
    on loan: Loan, _ statement: (Connection) async throws(QueryError) -> Result
  ) async throws(PoolError) -> Result {
    let isFirst = loan.isUntouched
    loan.isUntouched = false
    do {
      return try await statement(loan.connection)
    } catch {
      guard isFirst, !error.connectionUsable, !error.maybeExecuted, await exchange(loan, error.fault) else {
        throw failure(error, of: loan)
      }
    }
    do {
      return try await statement(loan.connection)
    } catch {
      throw failure(error, of: loan)
    }
  }

  /// Gets another connection for a lease whose own is dead; false if none could be had.
  private nonisolated func exchange(_ loan: Loan, _ fault: Fault) async -> Bool {
    let deadline = EventLoop.now() + loan.patience
    if let grant = try? await granted(
      Acquisition(.exchange(loan.id, loan.pooled.id, fault), within: loan.patience, at: loan.site))
    {
      loan.pooled = grant.pooled
      return true
    }
    guard let readers = loan.readers else { return false }
    return await readers.move(loan, by: deadline)
  }

  /// What the server answered with an error was not executed, and nothing that fails within a transaction of ours: it
  /// is not committed.
  nonisolated func failure(_ error: QueryError, of loan: Loan) -> PoolError {
    if error.fault.sqlState == .readOnlyTransaction, loan.connection.beganWritable {
      loan.metReadOnly = error.fault
    }
    return PoolError(
      .query, fault: error.fault,
      maybeExecuted: error.maybeExecuted && !error.connectionUsable && loan.depth == 0,
      pool: snapshot.pool)
  }

  // MARK: - The end of a lease

  /// The caller goes on at once: a task on another thread does not wait for the loop. Whatever that task asks of the
  /// pool next comes after it.
  nonisolated func giveBack(_ loan: Loan) {
    if loop.isCurrent { return synchronously.release(loan) }
    loop.post { self.synchronously.release(loan) }
  }

  /// Takes a connection back as it was lent: what is to be undone is undone first, without the caller.
  func release(_ loan: Loan) {
    let status = loan.connection.transactionStatusNow
    if status == .idle, let standby, !loan.connection.assumeIsolated({ $0.isInHotStandby }) {
      // The server says so with the end of every statement.
      let fault = Fault(
        .wrongRole, at: .role, host: standby.host.label, message: "the server is a primary now")
      handle(.release(loan.id, loan.pooled.id, reusable: false, fault))
      return standby.wasPromoted()
    }
    switch status {
    case .idle where !loan.isTagged && loan.resetting == .transaction && loan.metReadOnly == nil:
      takeBack(loan.id, loan.pooled)
    case .idle, .inTransaction, .inFailedTransaction:
      onLoop { pool in
        let isWhole = await pool.reset(loan)
        pool.handle(.release(loan.id, loan.pooled.id, reusable: isWhole, isWhole ? loan.metReadOnly : nil))
      }
    default: handle(.release(loan.id, loan.pooled.id, reusable: false, nil))
    }
  }

  /// There is nothing to undo on it.
  func takeBack(_ lease: LeaseID, _ pooled: PooledConnection) {
    handedBack = pooled
    handle(.release(lease, pooled.id, reusable: true, nil))
    handedBack = nil
  }

  /// True if the connection is as good as new, in time.
  private func reset(_ loan: Loan) async -> Bool {
    let connection = loan.connection
    let timer = loop.schedule(at: EventLoop.now() + Self.resetTimeout) {
      connection.assumeIsolated { $0.close() }
    }
    defer { loop.cancel(timer) }
    do {
      if await connection.transactionStatus != .idle { _ = try await connection.query("ROLLBACK") }
      switch loan.resetting {
      case .discardAll: _ = try await connection.query("DISCARD ALL")
      case .transaction: if loan.isTagged { _ = try await connection.query("RESET application_name") }
      }
      if loan.metReadOnly != nil, try await !isReadOnly(connection) { loan.metReadOnly = nil }
      return await connection.transactionStatus == .idle
    } catch { return false }
  }

  /// Whether it is the server that only reads: the lease may have asked for a read-only transaction, or for all of its
  /// session's.
  private func isReadOnly(_ connection: Connection) async throws(QueryError) -> Bool {
    let sql = """
      SELECT pg_is_in_recovery() OR setting = 'on' AND source <> 'session'
      FROM pg_catalog.pg_settings WHERE name = 'default_transaction_read_only'
      """
    return try await connection.query(sql)[0, 0] == "t"
  }
}
