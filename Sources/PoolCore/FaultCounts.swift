/// How often the database, or the way to it, failed: by SQLSTATE where the server itself said something, otherwise by
/// kind. What a server can make it hold is bounded, whatever codes it sends.
public struct FaultCounts: Hashable, Sendable {
  /// So many SQLSTATEs that Warmgate has no words for have a count of their own.
  public static let unknownStates = 64

  /// By `Fault.kindName`.
  public private(set) var byKind: [String: Int] = [:]
  /// By the server's code.
  public private(set) var byState: [SQLState: Int] = [:]
  /// Those of further codes.
  public private(set) var others = 0
  private var unknown = 0

  /// All zero.
  public init() {}

  mutating func add(_ fault: Fault) {
    guard let state = fault.sqlState else {
      byKind[fault.kindName, default: 0] += 1
      return
    }
    if byState[state] == nil, !state.isKnown {
      guard unknown < Self.unknownStates else {
        others += 1
        return
      }
      unknown += 1
    }
    byState[state, default: 0] += 1
  }

  /// Of all kinds and codes.
  public var total: Int { byKind.values.reduce(others, +) + byState.values.reduce(0, +) }
}
