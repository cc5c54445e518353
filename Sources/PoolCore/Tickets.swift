/// Where an instance stands with the tickets of its fleet (`fleetTickets`).
struct Tickets: Sendable {
  var state = State.none
  /// Since when one has been wanted, in this warming.
  var wantedSince: Instant?
  /// From then on it warms without.
  var patienceEnds: Instant?
  /// How often none was free, in a row.
  var misses = 0
  /// The pool is warm, and the ticket is kept for the application.
  var forApp: ForApp?

  struct ForApp: Sendable {
    var until: Instant
    /// How many sessions it had when they were last counted.
    var sessions = 0
    /// They are being counted.
    var isAsked = false
  }

  enum State: Hashable, Sendable {
    /// None is wanted, or the next question is due at `alarms.ticket`. → asking, without
    case none
    /// The question is under way, on this connection. → held, none, without
    case asking(ConnectionID)
    /// Ours, with the session of this connection, until it is warm or the time is over. → none
    case held(ConnectionID, until: Instant)
    /// It warms without one. → none, with the next warming
    case without(WhyWithout)
  }

  enum WhyWithout: Hashable, Sendable {
    /// None was free for as long as anybody waits.
    case waitedTooLong
    /// There can be none here.
    case unavailable(String)
  }

  var isHeld: Bool { if case .held = state { true } else { false } }
}

/// What came of asking for a ticket.
public enum TicketAnswer: Hashable, Sendable {
  /// It is ours until it is given back, or the session ends.
  case granted
  /// Others have them all.
  case noneFree
  /// There can be none, and why.
  case unavailable(String)
}
