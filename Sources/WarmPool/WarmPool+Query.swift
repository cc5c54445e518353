import PoolCore
public import Postgres

/// One statement, on whichever connection is free.
extension WarmPool {
  /// Runs one statement on a connection that is lent for it alone.
  ///
  /// The same as `withConnection { db in try await db.query(sql, parameters) }` in what it does and throws, for less:
  /// where the statement is prepared already, the pool asks it by itself as soon as a connection is free, and the task
  /// is resumed once, with the answer.
  ///
  /// For a limit on the statement's time, a tag, or several statements on one connection use `withConnection`. As after
  /// a lease, what the statement leaves open (`BEGIN`) is rolled back, and what it leaves in the session (`SET`) stays.
  ///
  /// - Parameters:
  ///   - sql: one statement.
  ///   - parameters: its `$1`, `$2`, …
  ///   - file: where it is asked, for the report of a lease that is held too long.
  ///   - line: the line there.
  ///   - isolation: the caller's actor.
  public func query(
    _ sql: String, _ parameters: [Parameter] = [],
    file: StaticString = #fileID, line: UInt = #line, isolation: isolated (any Actor)? = #isolation
  ) async throws -> QueryResult {
    try Task.checkCancellation()
    let site = AcquisitionSite(file: file, line: line, task: Task.name)
    let patience = configuration.pool.acquireTimeout
    let caller = Acquisition(.lease, within: patience, at: site, asking: Statement(sql, parameters))
    return try await withTaskCancellationHandler {
      _ = isolation
      switch try await response(to: caller, Acquisition.Waiting.forAnswer) {
      case .answered(let result): return result
      case .asked(let grant, let answer):
        let loan = loan(of: grant, patience, by: site)
        defer { giveBack(loan) }
        return try answer.mapError { failure($0, of: loan) }.get()
      case .granted(let grant):
        let loan = try taken(grant, patience, by: site)
        return try await Self.lend(loan, tag: nil) { db in try await db.query(sql, parameters) }
      }
    } onCancel: {
      cancelled(caller)
    }
  }

  /// Runs one statement and reads every row as a `Decodable` value: as `Lease.query(_:_:as:)`, on a connection that is
  /// lent for it alone.
  public func query<Row: Decodable>(
    _ sql: String, _ parameters: [Parameter] = [], as type: Row.Type,
    file: StaticString = #fileID, line: UInt = #line, isolation: isolated (any Actor)? = #isolation
  ) async throws -> [Row] {
    try await query(sql, parameters, file: file, line: line).decode(type)
  }
}

// MARK: - On the loop

extension WarmPool {
  /// Asks the statements of those who got a connection by the present event, when all else that follows from it is done:
  /// a connection that turns out to be dead is an event of its own.
  func askForCallers() {
    guard !isAsking else { return }
    isAsking = true
    while let pooled = toAsk.popLast() {
      guard let lease = pooled.acquired?.lease, let statement = pooled.acquired?.takeStatement() else {
        continue
      }
      pooled.connection.askIfPrepared(
        statement.sql, statement.parameters, for: lease.number, telling: pooled)
    }
    isAsking = false
  }

  /// The answer to a statement that `askForCallers` has asked. A standby's role is not looked at: `ReadWritePool` reads
  /// standbys in leases, and `release` looks when one comes back.
  func hear(_ answer: Connection.Answer, on pooled: PooledConnection) {
    guard let caller = pooled.acquired, let lease = caller.lease else { return }
    switch answer {
    case .success(let result)?:
      guard pooled.connection.transactionStatusNow == .idle else {
        return caller.end(with: .asked((lease, pooled), .success(result)))
      }
      // First, so that the next caller's statement is on its way while this one goes on.
      takeBack(lease, pooled)
      caller.end(with: .answered(result))
    case .failure(let error)? where error.connectionUsable || error.maybeExecuted:
      caller.end(with: .asked((lease, pooled), .failure(error)))
    case nil, .failure: caller.grant(pooled)
    }
  }
}
