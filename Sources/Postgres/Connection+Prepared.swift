import CLibpq
import PoolCore

/// Statements as the server gets them: prepared, or not.
extension Connection {
  func askUnnamed(
    _ sql: String, _ parameters: [Parameter], _ limit: TimeLimit? = nil
  ) async throws(QueryError) -> QueryResult {
    let result = try await run(limit, isOneWrite: Self.isOneWrite(sql, parameters)) {
      session throws(QueryError) in
      guard !sql.utf8.contains(0) else { throw self.zeroByte }
      return try self.send(parameters) { count, values, lengths, formats in
        PQsendQueryParams(session.connection, sql, count, nil, values, lengths, formats, 0)
      }
    }
    if result.forgetsStatements { cache.forget() }
    return result
  }

  /// False if the server does not know what it was told before, or has another of that name: a pooler gave the
  /// statement to another session. Nothing is executed here, so a failure leaves nothing in doubt.
  func prepare(
    _ sql: String, _ name: String, dropping dropped: String?, _ limit: TimeLimit? = nil
  ) async throws(QueryError) -> Bool {
    do throws(QueryError) {
      if let dropped { try await deallocate(dropped, limit) }
      _ = try await run(limit) { session throws(QueryError) in
        PQsendPrepare(session.connection, name, sql, 0, nil) == 1
      }
    } catch {
      var error = error
      if case .server(.duplicateStatementName) = error.fault.kind {
        cache.lost()
        // Within a transaction, that has failed with it.
        if transactionStatus == .idle { return false }
      }
      // A refusal is the server's word on the statement itself.
      if !error.connectionUsable { error.maybeExecuted = false }
      throw error
    }
    cache.prepared(sql, as: name)
    return true
  }

  private func deallocate(_ name: String, _ limit: TimeLimit?) async throws(QueryError) {
    do throws(QueryError) {
      _ = try await run(limit) { session throws(QueryError) in
        PQsendQuery(session.connection, "DEALLOCATE " + name) == 1
      }
    } catch {
      // It is what was wanted.
      if case .server(.unknownStatementName) = error.fault.kind, transactionStatus == .idle { return }
      throw error
    }
  }

  func askPrepared(
    _ sql: String, _ name: String, _ parameters: [Parameter], _ limit: TimeLimit? = nil
  ) async throws(QueryError) -> QueryResult {
    planIsOutdated = false
    do throws(QueryError) {
      let result = try await run(limit, isOneWrite: Self.isOneWrite("", parameters)) {
        session throws(QueryError) in
        try self.sendPrepared(name, parameters, session)
      }
      if result.forgetsStatements { cache.forget() }
      return result
    } catch {
      // The server knows the statement no more, or its result has changed its shape since. Either is found before
      // it is executed, so outside a transaction, which the error has ended, it may be asked again.
      let outdated: String?
      if planIsOutdated {
        outdated = cache.outdated(sql)
      } else if isLost(name, error) {
        cache.lost()
        outdated = nil
      } else {
        throw error
      }
      guard transactionStatus == .idle else { throw error }
      if let outdated { try await deallocate(outdated, limit) }
      return try await askUnnamed(sql, parameters, limit)
    }
  }

  func isLost(_ name: String, _ error: QueryError) -> Bool {
    error.fault.sqlState == .unknownStatementName && error.fault.message.contains(name)
  }

  func sendPrepared(
    _ name: String, _ parameters: [Parameter], _ session: Session
  ) throws(QueryError) -> Bool {
    try send(parameters) { count, values, lengths, formats in
      // Passed as it is, the name would be copied into an array first.
      name.withCString { PQsendQueryPrepared(session.connection, $0, count, values, lengths, formats, 0) }
    }
  }

  func send(
    _ parameters: [Parameter],
    _ body: (
      Int32, UnsafePointer<UnsafePointer<CChar>?>?, UnsafePointer<Int32>?, UnsafePointer<Int32>?
    ) -> Int32
  ) throws(QueryError) -> Bool {
    if parameters.isEmpty { return body(0, nil, nil, nil) == 1 }
    try check(parameters)
    return ParameterValues(parameters).withPointers(body) == 1
  }

  func check(_ parameters: [Parameter]) throws(QueryError) {
    // The protocol counts them in 16 bits (PostgreSQL manual, 55.7 "Message Formats", Bind).
    guard parameters.count <= UInt16.max else {
      throw notSent("\(parameters.count) parameters, where a statement of PostgreSQL takes at most 65535")
    }
    guard !parameters.contains(where: \.hasZeroByte) else { throw zeroByte }
  }

  var zeroByte: QueryError {
    notSent("a statement or parameter of PostgreSQL cannot hold a zero byte")
  }
}
