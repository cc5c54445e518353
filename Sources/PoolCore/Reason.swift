/// Why an instance is not ready, or ready only in part. `text` may be shown to anybody, `detail` to operators.
public enum Reason: Hashable, Sendable {
  /// Nothing has been tried yet: `--splay` delays the first login.
  case starting
  /// Fewer than `min` connections, or no answered probe yet, with what stands in the way.
  case warming(open: Int, min: Int, because: Fault?)
  /// Nothing but a ticket is missing: so many instances may warm at the same moment.
  case noTicket(open: Int, min: Int, tickets: Int)
  /// The server has too few free slots for as many sessions as are needed.
  case noSlots(ServerRoom, needed: Int)
  /// The probe got no good answer, `--fall` times in a row.
  case probeFailed(Fault)
  /// No connection is left and a new login failed.
  case databaseLost(Fault)
  /// Ready, with fewer connections than the floor.
  case belowFloor(open: Int, min: Int)
  /// Ready on a share of the room, because so many instances cannot all have their floor.
  case sharing(open: Int, min: Int, instances: Int)
  /// Ready on the connections it has; new logins fail.
  case loginFailing(Fault)
  /// No connection answers the probe; ready only because `--when-database-lost` says so.
  case held(Fault)
  /// A drain is under way.
  case draining
  /// A drain has ended, and nobody has taken it back.
  case drained
  /// The loop has not beaten, or the probe is overdue, for this long.
  case stalled(Duration)

  /// A reason without its values.
  public enum Kind: String, Hashable, Sendable, CaseIterable {
    /// As `Reason.starting`.
    case starting
    /// As `Reason.warming`.
    case warming
    /// As `Reason.noTicket`.
    case noTicket = "no_ticket"
    /// As `Reason.noSlots`.
    case noSlots = "no_slots"
    /// As `Reason.probeFailed`.
    case probeFailed = "probe_failed"
    /// As `Reason.databaseLost`.
    case databaseLost = "database_lost"
    /// As `Reason.belowFloor`.
    case belowFloor = "below_floor"
    /// As `Reason.sharing`.
    case sharing
    /// As `Reason.loginFailing`.
    case loginFailing = "login_failing"
    /// As `Reason.held`.
    case held
    /// As `Reason.draining`.
    case draining
    /// As `Reason.drained`.
    case drained
    /// As `Reason.stalled`.
    case stalled

    /// It can stand against being ready. The others only degrade.
    public var blocks: Bool {
      switch self {
      case .belowFloor, .sharing, .loginFailing, .held: false
      case .starting, .warming, .noTicket, .noSlots, .probeFailed, .databaseLost, .draining, .drained,
        .stalled:
        true
      }
    }
  }

  /// Which it is.
  public var kind: Kind {
    switch self {
    case .starting: .starting
    case .warming: .warming
    case .noTicket: .noTicket
    case .noSlots: .noSlots
    case .probeFailed: .probeFailed
    case .databaseLost: .databaseLost
    case .belowFloor: .belowFloor
    case .sharing: .sharing
    case .loginFailing: .loginFailing
    case .held: .held
    case .draining: .draining
    case .drained: .drained
    case .stalled: .stalled
    }
  }

  /// A name without values, for metrics and JSON.
  public var name: String { kind.rawValue }

  /// The fault behind it; nil where none is.
  public var fault: Fault? {
    switch self {
    case .warming(_, _, let fault): fault
    case .probeFailed(let fault), .databaseLost(let fault), .loginFailing(let fault), .held(let fault): fault
    case .starting, .noTicket, .noSlots, .belowFloor, .sharing, .draining, .drained, .stalled: nil
    }
  }

  /// Our own words, class and SQLSTATE.
  public var text: String { words(fault?.summary) }

  /// `text` with hosts and the server's own words.
  public var detail: String { words(fault?.detail) }

  private func words(_ fault: String?) -> String {
    let fault = fault ?? ""
    return switch self {
    case .starting: "starting"
    case .warming(let open, let min, let because):
      because == nil ? "warming \(open)/\(min)" : "warming \(open)/\(min), \(fault)"
    case .noTicket(let open, let min, let tickets):
      "warming \(open)/\(min), waiting for \(tickets == 1 ? "the ticket" : "one of \(tickets) tickets")"
    case .noSlots(let room, let needed): "no slots: \(room.shortage), \(needed) more needed"
    case .probeFailed: "probe failed: \(fault)"
    case .databaseLost: "database lost: \(fault)"
    case .belowFloor(let open, let min): "\(open)/\(min) connections open"
    case .sharing(let open, let min, let instances):
      "\(open)/\(min) connections, a share of the room for \(instances) instances"
    case .loginFailing: "login failing: \(fault)"
    case .held: "held by policy: \(fault)"
    case .draining: "draining"
    case .drained: "drained"
    case .stalled(let age): "stalled \(age.inTenths)"
    }
  }
}

extension Duration {
  /// Seconds with one decimal, such as `3.2s`.
  public var inTenths: String {
    let tenths = (inNanoseconds / 100_000_000).magnitude
    return "\(inNanoseconds < 0 ? "-" : "")\(tenths / 10).\(tenths % 10)s"
  }
}
