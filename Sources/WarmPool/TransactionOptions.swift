/// How a transaction is begun (PostgreSQL manual, "SET TRANSACTION"). Nil leaves it to the session's defaults.
public struct TransactionOptions: Hashable, Sendable {
  /// What a transaction sees of others (PostgreSQL manual, 13.2 "Transaction Isolation").
  public enum Isolation: String, Hashable, Sendable, CaseIterable {
    /// Each statement sees what was committed before it.
    case readCommitted = "READ COMMITTED"
    /// All statements see what was committed before the first; a conflicting change fails with 40001.
    case repeatableRead = "REPEATABLE READ"
    /// As if transactions ran one after another; what cannot be so fails with 40001.
    case serializable = "SERIALIZABLE"
  }

  /// What it sees of others.
  public var isolation: Isolation?
  /// It may change nothing.
  public var readOnly: Bool?
  /// With serializable and read-only: waits for a moment from which it can neither fail nor make others fail.
  public var deferrable: Bool?

  /// The session's defaults where nothing is said.
  public init(isolation: Isolation? = nil, readOnly: Bool? = nil, deferrable: Bool? = nil) {
    self.isolation = isolation
    self.readOnly = readOnly
    self.deferrable = deferrable
  }

  /// A standby refuses serializable transactions (PostgreSQL manual, 27.4.1 "User's Overview").
  var access: Access { readOnly == true && isolation != .serializable ? .read : .write }

  var begin: String {
    var sql = "BEGIN"
    if let isolation { sql += " ISOLATION LEVEL \(isolation.rawValue)" }
    if let readOnly { sql += readOnly ? " READ ONLY" : " READ WRITE" }
    if let deferrable { sql += deferrable ? " DEFERRABLE" : " NOT DEFERRABLE" }
    return sql
  }
}

/// Runs a transaction again that the database gave up in favour of another one: 40001 (serialization failure) and
/// 40P01 (deadlock). The whole body runs again, so it must do nothing besides that cannot be done twice.
public struct TransactionRetry: Hashable, Sendable {
  /// How often the body runs at most, the first time included.
  public var attempts: Int
  /// The wait before another attempt is random, between zero and this, which doubles with every attempt (full
  /// jitter), up to `longestWait`.
  public var firstWait: Duration
  /// The bound does not grow beyond this.
  public var longestWait: Duration

  /// Five attempts with short waits, unless said otherwise.
  public init(
    attempts: Int = 5, firstWait: Duration = .milliseconds(10), longestWait: Duration = .seconds(1)
  ) {
    self.attempts = attempts
    self.firstWait = firstWait
    self.longestWait = longestWait
  }

  /// Before attempt `number`, the second one being 2.
  func wait(before number: Int, random: inout some RandomNumberGenerator) -> Duration {
    var bound = firstWait
    for _ in 2..<max(number, 2) where bound < longestWait { bound += bound }
    return min(bound, longestWait) * Double.random(in: 0...1, using: &random)
  }
}
