/// The five characters by which PostgreSQL names an error
/// (PostgreSQL manual, appendix A, "PostgreSQL Error Codes").
public struct SQLState: Hashable, Sendable, CustomStringConvertible {
  /// Five capital letters or digits.
  public let code: String

  /// Nil unless `code` is five capital letters or digits: it comes from the network.
  public init?(_ code: some StringProtocol) {
    guard code.utf8.count == 5,
      code.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) })
    else { return nil }
    self.code = String(code)
  }

  private init(known code: String) { self.code = code }

  public var description: String { code }

  /// The first two characters: the class of the error.
  public var errorClass: String { String(code.prefix(2)) }

  /// 08P01: the other side does not keep to the protocol; often a pooler without a server.
  public static let protocolViolation = SQLState(known: "08P01")
  /// 25006: a change was asked of a server that only reads.
  public static let readOnlyTransaction = SQLState(known: "25006")
  /// 26000: no prepared statement of that name.
  public static let unknownStatementName = SQLState(known: "26000")
  /// 28000: this role may not log in here.
  public static let invalidAuthorization = SQLState(known: "28000")
  /// 28P01: the password is not accepted.
  public static let invalidPassword = SQLState(known: "28P01")
  /// 3D000: no such database.
  public static let unknownDatabase = SQLState(known: "3D000")
  /// 40001: given up in favour of a concurrent transaction.
  public static let serializationFailure = SQLState(known: "40001")
  /// 40P01: given up to end a deadlock.
  public static let deadlockDetected = SQLState(known: "40P01")
  /// 53300: every connection slot is taken.
  public static let tooManyConnections = SQLState(known: "53300")
  /// 57014: the statement was cancelled, by request or by a timeout.
  public static let queryCanceled = SQLState(known: "57014")
  /// There is a prepared statement of that name already.
  public static let duplicateStatementName = SQLState(known: "42P05")
  /// 57P01: an administrator or a shutdown ended the session.
  public static let adminShutdown = SQLState(known: "57P01")
  /// 57P02: the server crashed and restarts.
  public static let crashShutdown = SQLState(known: "57P02")
  /// 57P03: the server starts, stops or recovers.
  public static let cannotConnectNow = SQLState(known: "57P03")
  /// 57P04: the database was dropped.
  public static let databaseDropped = SQLState(known: "57P04")
  /// 57P05: the session was idle for longer than the server allows.
  public static let idleSessionTimeout = SQLState(known: "57P05")

  /// What the code means, in our words: safe to show to anybody, whatever language the server speaks.
  public var words: String { Self.codeWords[code] ?? Self.classWords[errorClass] ?? "server error" }

  /// It has words of its own, not just those of its class.
  public var isKnown: Bool { Self.codeWords[code] != nil }

  /// All that have words of their own.
  public static var known: [SQLState] { codeWords.keys.sorted().map(SQLState.init(known:)) }

  private static let codeWords: [String: String] = [
    "08P01": "protocol violation, often a pooler that cannot reach its server",
    "0A000": "feature not supported",
    "25006": "server is read-only",
    "25P03": "idle in a transaction for too long",
    "28000": "login not allowed for this role, database or address",
    "28P01": "password authentication failed",
    "3D000": "database does not exist",
    "42501": "permission denied",
    "53100": "disk full at the server",
    "53200": "out of memory at the server",
    "53300": "no connection slots left",
    "55000": "database does not accept connections",
    "57014": "query canceled, often by statement_timeout",
    "57P01": "session ended by an administrator or a shutdown",
    "57P02": "server crashed and restarts",
    "57P03": "server is starting, stopping or recovering",
    "57P04": "database was dropped",
    "57P05": "session ended by idle_session_timeout",
  ]

  private static let classWords: [String: String] = [
    "08": "connection error", "22": "data error", "23": "constraint violated",
    "25": "transaction state error",
    "26": "unknown prepared statement", "28": "login refused", "40": "transaction rolled back",
    "42": "syntax or access error", "53": "server out of resources", "55": "object not in the needed state",
    "57": "operator intervention", "58": "system error at the server", "XX": "internal server error",
  ]
}
