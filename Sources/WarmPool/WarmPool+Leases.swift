import EventLoop
import PoolCore
import Postgres

/// Lending connections out, and taking them back.
extension WarmPool {
  func acquire(_ timeout: Duration) async throws -> (LeaseID, Connection) {
    try Task.checkCancellation()
    lastLease += 1
    let id = LeaseID(lastLease)
    let connection = try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        acquiring[id] = continuation
        handle(.acquire(id, deadline: EventLoop.now() + timeout))
      }
    } onCancel: {
      // Runs on the loop after this turn, so the continuation above is in its place by then.
      loop.post { self.assumeIsolated { $0.abandon(id) } }
    }
    if Task.isCancelled {
      release(id, connection)
      throw CancellationError()
    }
    return (id, connection)
  }

  private func abandon(_ id: LeaseID) {
    guard let continuation = acquiring.removeValue(forKey: id) else { return }
    handle(.abandon(id))
    continuation.resume(throwing: CancellationError())
  }

  /// Takes a connection back as it was lent: an open transaction is rolled back first, without the caller.
  func release(_ id: LeaseID, _ connection: Connection) {
    switch connection.assumeIsolated({ $0.transactionStatus }) {
    case .idle: handle(.release(id, reusable: true, nil))
    case .inTransaction, .inFailedTransaction:
      onLoop { pool in
        let isWhole = (try? await connection.query("ROLLBACK")) != nil
        pool.handle(.release(id, reusable: isWhole, nil))
      }
    default: handle(.release(id, reusable: false, nil))
    }
  }
}
