import PoolCore

/// Why a statement failed, and what that means for its connection and for trying again.
public struct QueryError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What went wrong.
  public var fault: Fault
  /// The connection can take the next statement (it may be in a failed transaction). False: close it.
  public var connectionUsable: Bool
  /// False only if not a byte of the statement left this process, so that running it elsewhere cannot run it twice.
  /// True also when the server refused the statement.
  public var maybeExecuted: Bool

  /// A statement that failed so.
  public init(_ fault: Fault, connectionUsable: Bool, maybeExecuted: Bool) {
    self.fault = fault
    self.connectionUsable = connectionUsable
    self.maybeExecuted = maybeExecuted
  }

  public var description: String { fault.detail }
}
