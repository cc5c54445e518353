import EventLoop
import Glibc
import PoolCore

/// Makes a fault of what libpq says about a failed login.
///
/// A failed login has no result with fields, only a text. Its verbosity is set to VERBOSE, so that what the *server*
/// said reads `FATAL:  53300: sorry, too many clients already`: severity in the server's language, then the SQLSTATE.
/// What libpq itself said has no code and is told apart by its words, and by the C library's words for `errno`.
enum LoginFault {
  /// - Parameters:
  ///   - step: how far the login had come by the status of the connection.
  ///   - needsPassword: `PQconnectionNeedsPassword`.
  static func classify(_ text: String, at step: Fault.Step, needsPassword: Bool, host: String?) -> Fault {
    // One address can fail twice: `sslmode=prefer` tries again without TLS, `allow` with it.
    let attempts = split(text)
    let told = attempts.compactMap(serverSaid)
    // pg_hba.conf refusing the second form of the attempt hides the real answer to the first, and the other way about.
    if let (state, message) = told.last(where: { $0.0 != .invalidAuthorization }) ?? told.last {
      return Fault(.server(state), at: step, host: host, message: oneLine(message))
    }
    let last = attempts.last ?? ""
    let (kind, place) = ours(last, at: step, needsPassword: needsPassword)
    return Fault(kind, at: place, host: host, message: oneLine(last))
  }

  /// The attempts that a message reports, each without libpq's introduction (the host is known), its advice
  /// (indented lines) and the place in the server's source.
  private static func split(_ text: String) -> [String] {
    var attempts: [String] = []
    for line in text.split(separator: "\n") {
      if line.hasPrefix("\t") || line.hasPrefix("LOCATION:") { continue }
      if let introduction = afterIntroduction(line) {
        attempts.append(introduction)
      } else if attempts.isEmpty {
        attempts.append(String(line))
      } else {
        attempts[attempts.count - 1] += "\n" + line
      }
    }
    return attempts
  }

  private static func afterIntroduction(_ line: Substring) -> String? {
    guard line.hasPrefix("connection to server ") else { return nil }
    let mark = "failed: "
    var rest = line
    while let start = rest.firstIndex(of: "f") {
      rest = rest[start...]
      if rest.hasPrefix(mark) { return String(rest.dropFirst(mark.count)) }
      rest = rest.dropFirst()
    }
    return nil
  }

  /// `FATAL:  53300: sorry, …`
  private static func serverSaid(_ attempt: String) -> (SQLState, message: String)? {
    guard let colon = attempt.firstIndex(of: ":") else { return nil }
    let rest = attempt[attempt.index(after: colon)...]
    guard rest.hasPrefix("  ") else { return nil }
    let code = rest.dropFirst(2).prefix(5)
    let message = rest.dropFirst(7)
    guard let state = SQLState(code), message.isEmpty || message.hasPrefix(":") else { return nil }
    return (state, message: String(message.dropFirst()))
  }

  private static func ours(
    _ text: String, at step: Fault.Step, needsPassword: Bool
  ) -> (Fault.Kind, Fault.Step) {
    if needsPassword { return (.passwordMissing, .authentication) }
    func says(_ words: String...) -> Bool { words.contains { text.contains($0) } }
    if says(
      "is in hot standby mode", "is not in hot standby mode", "session is read-only",
      "session is not read-only")
    {
      return (.wrongRole, .role)
    }
    if says("certificate") {
      // Files of ours that are missing or not private enough, as opposed to a certificate that was refused.
      let files = says(
        "does not exist", "could not read", "could not load", "permissions", "private key file")
      return (files ? .misconfigured : .certificate, .tls)
    }
    if says("private key file") { return (.misconfigured, .tls) }
    if let kind = network(text) {
      return (kind, kind == .refused || kind == .unreachable ? .tcp : step)
    }
    if says(
      "server closed the connection unexpectedly", "connection has been closed unexpectedly", "EOF detected")
    {
      return (.closed, step)
    }
    if says("SSL", "GSSAPI encryption") { return (.tlsFailed, .tls) }
    if says("no password supplied") { return (.passwordMissing, .authentication) }
    if says("could not translate host name", "could not look up") { return (.nameLookupFailed, .name) }
    if says(
      "invalid ", "too long", "could not match", "definition of service", "does not exist", "not supported")
    {
      return (.misconfigured, step == .name || step == .tcp ? .settings : step)
    }
    return (.other, step)
  }

  /// What the system said, in the words that libpq too has from the C library.
  static func network(_ text: String) -> Fault.Kind? {
    func says(_ codes: Int32...) -> Bool { codes.contains { text.contains(errorText($0)) } }
    if says(ECONNREFUSED, ENOENT, ENOTSOCK) { return .refused }
    if says(EHOSTUNREACH, ENETUNREACH, EHOSTDOWN, ENETDOWN, EADDRNOTAVAIL, EAFNOSUPPORT) {
      return .unreachable
    }
    if says(ETIMEDOUT) { return .timedOut }
    if says(ECONNRESET, EPIPE, ECONNABORTED) { return .closed }
    return nil
  }
}

extension Fault {
  /// The fault of a login of which every part (addresses of a host, hosts of a URL) failed: that of the part which
  /// says most (the server's own word first, then whoever came furthest), with all of them in its message.
  static func mostTelling(_ faults: [Fault]) -> Fault? {
    guard var chosen = faults.max(by: { $0.weight < $1.weight }) else { return nil }
    // `max` takes the last of equals; the first is the one that is preferred.
    if let first = faults.first(where: { $0.weight == chosen.weight }) { chosen = first }
    if faults.count > 1 {
      chosen.message = oneLine(
        faults.map { fault in
          let text = fault.message.isEmpty ? fault.summary : fault.message
          return fault.host.map { "\($0): \(text)" } ?? text
        }.joined(separator: "; "))
    }
    return chosen
  }

  private var weight: Int {
    sqlState != nil ? Step.allCases.count : Step.allCases.firstIndex(of: step) ?? 0
  }
}
