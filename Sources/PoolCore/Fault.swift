/// Something that went wrong between us and the database: at which step, of which kind, on which host.
///
/// `summary` is made of our own words and the SQLSTATE only and may be shown to anybody; `message` and `host` are
/// for logs and the admin listener. No part of it ever holds a password.
public struct Fault: Error, Hashable, Sendable {
  /// How far we had come.
  public enum Step: String, Hashable, Sendable, CaseIterable {
    /// Before anything was sent: options, password file.
    case settings
    /// Resolving the host's name.
    case name
    /// Opening the TCP connection or Unix socket.
    case tcp
    /// The TLS handshake.
    case tls
    /// Role and password, as the server wants them.
    case authentication
    /// After authentication, until the server is ready for the first query.
    case session
    /// Checking that the server has the role we need (`target_session_attrs`, `--require-role`).
    case role
    /// Asking the probe query.
    case probe
    /// A statement of a lease.
    case query
    /// Nothing was under way on the connection.
    case idle
  }

  /// What went wrong, as far as it changes what is to be done about it.
  public enum Kind: Hashable, Sendable {
    /// The server itself said it.
    case server(SQLState)
    /// The resolver knows no such host.
    case nameNotFound
    /// The resolver did not answer, or failed.
    case nameLookupFailed
    /// Nothing listens: ECONNREFUSED, or no such Unix socket.
    case refused
    /// There is no route to the host.
    case unreachable
    /// Our own deadline passed without an answer.
    case timedOut
    /// The connection ended without a word of why.
    case closed
    /// TLS was asked for and the server has none, or the handshake failed.
    case tlsFailed
    /// The server's certificate (or ours) was not accepted.
    case certificate
    /// The server wants a password, and there is none.
    case passwordMissing
    /// The server is not what was asked for, such as a standby where a primary is required.
    case wrongRole
    /// Another database cluster answers than before: its system identifier is another one.
    case otherCluster
    /// A standby that is further behind than `--max-replay-lag`.
    case replayLag
    /// An option that libpq or the system does not accept.
    case misconfigured
    /// The probe query answered something other than `--probe-expect`.
    case unexpectedAnswer
    /// Earlier attempts hang in the system (a resolver, a TLS library) and none is started until one returns.
    case attemptsStuck
    /// None of these; `message` has what is known.
    case other
  }

  /// At which step.
  public var step: Step
  /// Of which kind.
  public var kind: Kind
  /// `host:port`, or the path of a Unix socket; nil where no host was involved.
  public var host: String?
  /// The server's or libpq's own text. Empty if there was none.
  public var message: String

  /// A fault of this kind at this step; `host` and `message` where they are known.
  public init(_ kind: Kind, at step: Step, host: String? = nil, message: String = "") {
    self.kind = kind
    self.step = step
    self.host = host
    self.message = message
  }

  /// The server's code; nil unless the server itself said it.
  public var sqlState: SQLState? {
    if case .server(let state) = kind { state } else { nil }
  }

  /// A name for metrics and JSON: one word per kind, without values.
  public var kindName: String {
    switch kind {
    case .server: "server"
    case .nameNotFound: "name_not_found"
    case .nameLookupFailed: "name_lookup_failed"
    case .refused: "refused"
    case .unreachable: "unreachable"
    case .timedOut: "timed_out"
    case .closed: "closed"
    case .tlsFailed: "tls_failed"
    case .certificate: "certificate"
    case .passwordMissing: "password_missing"
    case .wrongRole: "wrong_role"
    case .otherCluster: "other_cluster"
    case .replayLag: "replay_lag"
    case .misconfigured: "misconfigured"
    case .unexpectedAnswer: "unexpected_answer"
    case .attemptsStuck: "attempts_stuck"
    case .other: "other"
    }
  }

  /// Every `kindName` but `server`.
  public static let kindNames = [
    Kind.nameNotFound, .nameLookupFailed, .refused, .unreachable, .timedOut, .closed, .tlsFailed,
    .certificate, .passwordMissing, .wrongRole, .otherCluster, .replayLag, .misconfigured, .unexpectedAnswer,
    .attemptsStuck, .other,
  ].map { Fault($0, at: .settings).kindName }

  /// Class, SQLSTATE, step and our own words, for anybody to read: `57P03 server is starting, …`,
  /// `tcp: refused`.
  public var summary: String {
    switch kind {
    case .server(let state): "\(state.code) \(state.words)"
    case .nameNotFound: "name: host name does not exist"
    case .nameLookupFailed: "name: host name lookup failed"
    case .refused: "\(step.rawValue): connection refused"
    case .unreachable: "\(step.rawValue): host unreachable"
    case .timedOut: "\(step.rawValue): no answer in time"
    case .closed: "\(step.rawValue): connection closed by the other side"
    case .tlsFailed: "tls: not available or handshake failed"
    case .certificate: "tls: certificate not accepted"
    case .passwordMissing: "authentication: no password supplied"
    case .wrongRole: "role: server does not have the required role"
    case .otherCluster: "\(step.rawValue): another database cluster than before"
    case .replayLag: "role: standby is too far behind"
    case .misconfigured: "\(step.rawValue): not accepted, see the log"
    case .unexpectedAnswer: "probe: unexpected answer"
    case .attemptsStuck: "\(step.rawValue): earlier attempts are still stuck"
    case .other: "\(step.rawValue): failed"
    }
  }

  /// `summary` with the host and the original text: for logs and the admin listener.
  public var detail: String {
    var text = summary
    if let host { text += " (\(host))" }
    if !message.isEmpty { text += ": \(message)" }
    return text
  }

  /// The server, or what is before it, has taken the connection, and was not done with the login in time.
  var isOfCrowd: Bool {
    switch step {
    case .tls, .authentication, .session: kind == .timedOut
    default: false
    }
  }

  /// The server named the cause itself, so every instance of the fleet sees the same: taking this one out of
  /// rotation helps nobody. Silence, refusal and everything before the server spoke may be this instance alone.
  public var isShared: Bool {
    switch sqlState {
    case .cannotConnectNow, .tooManyConnections, .adminShutdown, .crashShutdown: true
    default: false
    }
  }
}
