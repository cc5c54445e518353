public import Postgres

extension Lease {
  /// Runs one statement, which the server is asked to stop when it has not answered within `timeout`; as it is when
  /// the task is cancelled.
  ///
  /// Nearly always the server confirms that at once: the error has SQLSTATE 57014, and the lease can be used on (an
  /// open transaction has failed). If the statement ended before it could be stopped, its result is returned. Without
  /// a word from the server for `Connection.stopPatience` the connection is given up. Otherwise as `query`.
  public func query(
    _ sql: String, _ parameters: [Parameter] = [], timeout: Duration
  ) async throws(PoolError) -> QueryResult {
    try await pool.run(on: loan) { connection throws(QueryError) in
      try await connection.query(sql, parameters, timeout: timeout)
    }
  }

  /// Runs several statements in one round trip, and returns their results in order. They are one implicit transaction
  /// unless one is open: if one fails, the others are undone or not run, and the error says which one it was.
  public func pipeline(
    _ statements: [Statement], timeout: Duration? = nil
  ) async throws(PoolError) -> [QueryResult] {
    try await pool.run(on: loan) { connection throws(QueryError) in
      try await connection.pipeline(statements, timeout: timeout)
    }
  }

  /// Runs one statement and gives its rows to `body` one by one while they arrive, however many there are: they are
  /// read from the server no faster than `body` takes them. The lease takes no other statement meanwhile.
  ///
  /// If `body` throws, or the task is cancelled, the server is asked to stop, and the lease can be used on if it does
  /// within a second. Rows that were given out before a failure were given out.
  public func stream(
    _ sql: String, _ parameters: [Parameter] = [], _ body: (QueryResult.Row) async throws -> Void
  ) async throws {
    try await pool.run(on: loan) { connection throws(QueryError) in
      try await connection.beginStream(sql, parameters)
    }
    do {
      while let rows = try await pool.nextRows(of: loan) {
        for row in rows { try await body(row) }
      }
    } catch {
      await loan.connection.endStream()
      throw error
    }
  }
}

extension WarmPool {
  fileprivate func nextRows(of loan: Loan) async throws(PoolError) -> [QueryResult.Row]? {
    do throws(QueryError) {
      return try await loan.connection.nextRows()
    } catch {
      throw failure(error, of: loan)
    }
  }
}
