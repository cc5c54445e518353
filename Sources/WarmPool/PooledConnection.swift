import PoolCore
import Postgres

/// A connection of the pool.
///
/// `@unchecked Sendable`: what changes is touched on the loop alone.
final class PooledConnection: @unchecked Sendable {
  let id: ConnectionID
  let connection: Connection
  /// By whom it was last acquired.
  var acquired: Acquisition?
  /// The statement that ran there at the last beat, and whether it has been told of as unanswered.
  var unanswered: (statement: UInt64, isTold: Bool)?

  init(_ id: ConnectionID, _ connection: Connection) {
    self.id = id
    self.connection = connection
  }
}
