import CLibpq
import PoolCore

/// Statements as the server gets them: prepared, or not.
extension Connection {
  func askUnnamed(
    _ sql: String, _ parameters: [Parameter], _ limit: TimeLimit? = nil
  ) async throws(QueryError) -> QueryResult {
    try await run(limit) { session throws(QueryError) in
      guard !sql.utf8.contains(0) else { throw self.zeroByte }
      return try self.send(parameters) { count, values in
        PQsendQueryParams(session.connection, sql, count, nil, values, nil, nil, 0)
      }
    }
  }

  /// Nothing is executed here, so a failure leaves nothing in doubt.
  func prepare(
    _ sql: String, _ name: String, dropping dropped: String?, _ limit: TimeLimit? = nil
  ) async throws(QueryError) {
    do throws(QueryError) {
      if let dropped { try await deallocate(dropped, limit) }
      _ = try await run(limit) { session throws(QueryError) in
        PQsendPrepare(session.connection, name, sql, 0, nil) == 1
      }
    } catch {
      var error = error
      // A refusal is the server's word on the statement itself.
      if !error.connectionUsable { error.maybeExecuted = false }
      throw error
    }
    cache.prepared(sql, as: name)
  }

  private func deallocate(_ name: String, _ limit: TimeLimit?) async throws(QueryError) {
    _ = try await run(limit) { session throws(QueryError) in
      PQsendQuery(session.connection, "DEALLOCATE " + name) == 1
    }
  }

  func askPrepared(
    _ sql: String, _ name: String, _ parameters: [Parameter], _ limit: TimeLimit? = nil
  ) async throws(QueryError) -> QueryResult {
    planIsOutdated = false
    do throws(QueryError) {
      let result = try await run(limit) { session throws(QueryError) in
        try self.send(parameters) { count, values in
          // Passed as it is, the name would be copied into an array first.
          name.withCString { PQsendQueryPrepared(session.connection, $0, count, values, nil, nil, 0) }
        }
      }
      cache.worked()
      return result
    } catch {
      // The server knows the statement no more, or its result has changed its shape since. Either is found before
      // it is executed, so outside a transaction, which the error has ended, it may be asked again.
      let outdated: String?
      if planIsOutdated {
        outdated = cache.outdated(sql)
      } else if case .server(.unknownStatementName) = error.fault.kind, error.fault.message.contains(name) {
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

  func send(
    _ parameters: [Parameter], _ body: (Int32, UnsafePointer<UnsafePointer<CChar>?>?) -> Int32
  ) throws(QueryError) -> Bool {
    if parameters.isEmpty { return body(0, nil) == 1 }
    let texts = parameters.map(\.text)
    guard !texts.contains(where: { $0?.utf8.contains(0) == true }) else { throw zeroByte }
    return withCStrings(texts) { body(Int32(clamping: texts.count), $0) == 1 }
  }

  var zeroByte: QueryError {
    notSent("a statement or parameter of PostgreSQL cannot hold a zero byte")
  }
}
