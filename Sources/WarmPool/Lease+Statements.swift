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
}
