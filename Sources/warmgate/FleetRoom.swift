import PoolCore

/// What the server has for a fleet: its slots and limits, without what others use of them.
struct FleetRoom: Hashable, Sendable {
  struct Limit: Hashable, Sendable {
    /// As it is said to an administrator: `max_connections`, `the role's limit`.
    var name: String
    var limit: Int
    /// Nobody gets these.
    var reserved = 0
    /// Used by others than the fleet.
    var others: Int

    var free: Int { max(0, limit - reserved - others) }
  }

  /// At least one.
  var limits: [Limit]

  /// What the narrowest leaves.
  var capacity: Int { limits.map(\.free).min() ?? 0 }

  /// What the server would have to allow for so many sessions.
  func enlarged(to sessions: Int) -> String {
    limits.filter { $0.free < sessions }.map { "\($0.name) \(sessions + $0.reserved + $0.others)" }
      .joined(separator: " and ") + " at the server"
  }

  var text: String {
    limits.map { limit in
      "\(limit.name) \(limit.limit)" + (limit.reserved > 0 ? ", \(limit.reserved) reserved" : "")
        + (limit.others > 0 ? ", \(limit.others) used by others" : "")
    }.joined(separator: "; ") + ": \(capacity) for this fleet"
  }

  /// As the server says it now, without the fleet's own sessions. `others`: instead of those that are open now.
  init(_ room: ServerRoom, others: Int?) {
    limits = [
      Limit(
        name: "max_connections", limit: room.maxConnections, reserved: room.reserved,
        others: others ?? room.used)
    ]
    if let role = room.role {
      limits.append(Limit(name: "the role's limit", limit: role.limit, others: role.used))
    }
    if let database = room.database {
      limits.append(Limit(name: "the database's limit", limit: database.limit, others: database.used))
    }
  }

  init(maxConnections: Int, reserved: Int, others: Int) {
    limits = [Limit(name: "max_connections", limit: maxConnections, reserved: reserved, others: others)]
  }
}
