import Foundation
import Synchronization

/// One session at the server that stays open between questions: it answers in a millisecond, where starting `psql`
/// takes many, and it holds one of the server's slots until it goes.
public final class PsqlSession: Sendable {
  private let child: ChildProcess
  /// Ours of two connected sockets; psql has the other as its input and output. Behind a lock: one question at a time.
  private let conversation: Mutex<Int32>
  private let errors: TemporaryDirectory

  fileprivate init(_ command: [String], environment: [String: String]) throws {
    var ends: [Int32] = [-1, -1]
    guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0 else {
      throw FixtureError("no socket pair: \(errnoText())")
    }
    for end in ends { Descriptors.closeOnExec(end) }
    conversation = Mutex(ends[0])
    errors = try TemporaryDirectory()
    let log = open(errors.file("errors"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    defer { for end in [ends[1], log] { close(end) } }
    child = try ChildProcess(
      command, environment: environment, input: ends[1], output: ends[1], errors: log)
  }

  deinit {
    child.kill()
    conversation.withLock { _ = close($0) }
  }

  /// Ends the session; the server notices at once.
  public func end() async { await blocking { self.child.kill() } }

  /// The rows of one statement, in the form of `TestPostgres.sql`. Throws with psql's words when the statement fails or
  /// the session has ended.
  public func ask(_ statement: String) async throws -> String {
    try await blocking { try self.askBlocking(statement) }
  }

  /// `ask` for a thread that may block.
  public func askBlocking(_ statement: String) throws -> String {
    let marker = Array("end-of-answer\n".utf8)
    return try conversation.withLock { socket in
      let question = Array("\(statement);\n\\echo end-of-answer\n".utf8)
      let sent = question.withUnsafeBytes { send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      guard sent == question.count else { throw FixtureError("psql has ended: \(complaint)") }
      var answer: [UInt8] = []
      var buffer = [UInt8](repeating: 0, count: 16_384)
      while !answer.suffix(marker.count).elementsEqual(marker) {
        let count = recv(socket, &buffer, buffer.count, 0)
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { throw FixtureError("psql has ended: \(complaint)") }
        answer += buffer[..<count]
      }
      return String(decoding: answer.dropLast(marker.count), as: UTF8.self)
        .trimmingCharacters(in: .newlines)
    }
  }

  private var complaint: String {
    (try? String(contentsOfFile: errors.file("errors"), encoding: .utf8)) ?? ""
  }
}

extension TestPostgres {
  /// A session of its own, logged in when this returns: over the Unix socket, or over TCP with `password`.
  public func session(
    user: String = "postgres", database: String = "postgres", applicationName: String = "fixture",
    password: String? = nil
  ) async throws -> PsqlSession {
    let command = [
      installation.program("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h",
      password == nil ? socketDirectory : address, "-p", "\(port)", "-U", user, "-d", database, "-f", "-",
    ]
    let environment = cleanEnvironment(
      adding: ["PGAPPNAME": applicationName, "PGCONNECT_TIMEOUT": "10", "PGPASSWORD": password ?? ""])
    return try await blocking {
      let session = try PsqlSession(command, environment: environment)
      _ = try session.askBlocking("select 1")
      return session
    }
  }
}
