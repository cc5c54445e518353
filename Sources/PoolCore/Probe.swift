/// The probe: which connection it asks on, whether a question is under way, and what it has heard.
struct Probe: Sendable {
  /// The connection reserved for it; nil while there is none, and a login is the witness.
  var connection: ConnectionID?
  /// A question is under way since then.
  var asked: Instant?
  var doubt = Doubt.none
  /// The reserved connection, or the one before it in the same generation, has answered.
  var isProven = false
  var report = ProbeReport()
  /// The server of a session that did not answer in time, until one there does.
  var silentServer: ServerID?
  /// What failed last, kept through successes that are not enough yet.
  var lastFault: Fault?
  /// The login that is to become the probe's connection.
  var scout: Scout?
  /// Since when there has been no connection to ask on, after the first ready.
  var missingSince: Instant?

  /// Whether the answer under way is in doubt, because of what happened to other connections.
  enum Doubt: Hashable, Sendable {
    /// → suspected
    case none
    /// → lookingOut, none
    case suspected
    /// A login looks whether another host is the primary by now. → lookedOut, none
    case lookingOut(ConnectionID)
    /// None is; or one is, and the probe is about to move there. → none
    case lookedOut
  }

  struct Scout: Sendable {
    var id: ConnectionID
    /// It was too slow and has been counted as a failed probe: its own failure is not counted again.
    var isCounted = false
  }
}
