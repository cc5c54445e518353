import CLibpq
import EventLoop
import PoolCore

/// Owns a `PGconn` and ends it when the last reference goes (with Terminate, if the server can still be told).
///
/// `@unchecked Sendable` because a session is used by one thread at a time: that of its login attempt, and once that
/// has handed it over, the loop's.
final class Session: @unchecked Sendable {
  let connection: OpaquePointer
  let lastWords = LastWords()

  /// Takes over `connection`.
  init(_ connection: OpaquePointer) {
    self.connection = connection
    // Also because libpq's own receiver prints to standard error. `lastWords` outlives the connection: see deinit.
    PQsetNoticeReceiver(connection, receiveNotice, Unmanaged.passUnretained(lastWords).toOpaque())
  }

  /// Begins a login; nil only without memory. libpq looks up names that come without an address, and blocks for it.
  /// `expandingDatabaseName`: a `dbname` may be a whole URL.
  static func start(_ options: [Database.Option], expandingDatabaseName: Bool) -> OpaquePointer? {
    withCStrings(options.map(\.keyword)) { keywords in
      withCStrings(options.map(\.value)) { values in
        PQconnectStartParams(keywords, values, expandingDatabaseName ? 1 : 0)
      }
    }
  }

  deinit { PQfinish(connection) }

  var descriptor: Int32 { PQsocket(connection) }
  var isBroken: Bool { PQstatus(connection) == CONNECTION_BAD }
  var errorMessage: String { PQerrorMessage(connection).map { String(cString: $0) } ?? "" }
  var backendPID: Int32 { PQbackendPID(connection) }
  var serverVersion: Int { Int(PQserverVersion(connection)) }

  func parameterStatus(_ name: String) -> String? {
    PQparameterStatus(connection, name).map { String(cString: $0) }
  }
}

/// What the server said when it ended the session.
final class LastWords {
  /// Nil as long as it has said nothing of the kind.
  private(set) var code: SQLState?
  private(set) var message = ""

  /// Keeps what a notice or an error of a statement says if it ends the session: FATAL and PANIC do, and so do 57P02
  /// (another backend has crashed) and 57P01 (an immediate shutdown), which come as a WARNING. Returns whether it does.
  @discardableResult
  func hear(_ notice: OpaquePointer) -> Bool {
    guard let code = ErrorField.sqlState.value(in: notice).flatMap({ SQLState($0) }) else { return false }
    let severity = ErrorField.severity.value(in: notice)
    let endsSession = code == .crashShutdown || code == .adminShutdown
    guard severity == "FATAL" || severity == "PANIC" || endsSession else { return false }
    self.code = code
    message = oneLine(ErrorField.message.value(in: notice) ?? "")
    return true
  }
}

/// libpq's notice receiver. Named and free of isolation: it runs inside whatever libpq call found the notice, on the
/// thread of that call.
func receiveNotice(_ argument: UnsafeMutableRawPointer?, _ notice: OpaquePointer?) {
  guard let argument, let notice else { return }
  Unmanaged<LastWords>.fromOpaque(argument).takeUnretainedValue().hear(notice)
}

/// A field of an error or notice (PostgreSQL manual, 34.3.1 "PQresultErrorField"). libpq names them by character
/// constants, which Swift does not import.
enum ErrorField: UInt8 {
  /// Not in the server's language.
  case severity = 0x56  // V
  case sqlState = 0x43  // C
  case message = 0x4D  // M
  /// The server's function that reported it.
  case routine = 0x52  // R

  func value(in result: OpaquePointer) -> String? {
    PQresultErrorField(result, Int32(rawValue)).map { String(cString: $0) }
  }
}
