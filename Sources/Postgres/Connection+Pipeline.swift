import CLibpq
import EventLoop
import PoolCore

/// A statement of a batch.
public struct Statement: Hashable, Sendable {
  /// One statement, with `$1`, `$2`, … where a value belongs.
  public var sql: String
  /// Its values, in order; at most 65535 (the protocol counts them in 16 bits).
  public var parameters: [Parameter]

  /// A statement, and its values if it takes any.
  public init(_ sql: String, _ parameters: [Parameter] = []) {
    self.sql = sql
    self.parameters = parameters
  }
}

/// What has been answered of a batch. Touched on the loop alone.
final class Pipeline {
  var results: [QueryResult] = []
  /// The server has come to its end.
  var isSynced = false
}

extension Connection {
  /// Runs several statements in one round trip (PostgreSQL manual, 34.5 "Pipeline Mode"), and returns their results in
  /// order.
  ///
  /// They are one implicit transaction, unless one is open or they begin one: if one fails, those after it are not run
  /// and those before it are undone. The error's message says which one it was.
  public func pipeline(
    _ statements: [Statement], timeout: Duration? = nil
  ) async throws(QueryError) -> [QueryResult] {
    guard !statements.isEmpty else { return [] }
    // Whatever libpq would refuse halfway is refused here: a batch that was begun has to be sent whole.
    for statement in statements {
      guard !statement.sql.utf8.contains(0) else { throw zeroByte }
      try check(statement.parameters)
    }
    try await leaveRowByRow()
    let pipeline = Pipeline()
    let limit = timeout.map { TimeLimit(timeout: $0, deadline: EventLoop.now() + $0) }
    do throws(QueryError) {
      _ = try await run(limit, pipeline: pipeline) { session throws(QueryError) in
        guard PQenterPipelineMode(session.connection) == 1 else { return false }
        for statement in statements {
          let isQueued = try self.send(statement.parameters) { count, values, lengths, formats in
            PQsendQueryParams(
              session.connection, statement.sql, count, nil, values, lengths, formats, 0)
          }
          guard isQueued else { throw self.brokenOff(session) }
        }
        guard PQpipelineSync(session.connection) == 1 else { throw self.brokenOff(session) }
        return true
      }
    } catch {
      var error = error
      if case .server = error.fault.kind {
        error.fault.message =
          "statement \(pipeline.results.count + 1) of \(statements.count): \(error.fault.message)"
      }
      throw error
    }
    return pipeline.results
  }

  /// libpq 15 ends its single-row mode with the next statement, but not if that is in a batch.
  private func leaveRowByRow() async throws(QueryError) {
    guard isRowByRow, case .idle = state else { return }
    do throws(QueryError) { try await ping() } catch {
      var error = error
      // Nothing of the batch was.
      error.maybeExecuted = false
      throw error
    }
    isRowByRow = false
  }

  /// Part of a batch is in libpq's hands, and the rest cannot be: without memory, or without a connection.
  private func brokenOff(_ session: Session) -> QueryError {
    let fault = Fault(.other, at: .query, host: hostLabel, message: oneLine(session.errorMessage))
    giveUp(because: fault)
    return QueryError(fault, connectionUsable: false, maybeExecuted: true)
  }
}
