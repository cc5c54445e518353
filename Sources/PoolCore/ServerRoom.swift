/// How many sessions the server has, and how many more it takes from our role and database at this moment.
///
/// Advisory: sessions that are still authenticating hold a slot and are not seen.
public struct ServerRoom: Hashable, Sendable {
  /// `max_connections`.
  public var maxConnections: Int
  /// Slots that our role cannot have.
  public var reserved: Int
  /// Without the session that asked, and without those that were not to be counted.
  public var used: Int
  /// The role's limit, with what is used of it; nil without a limit.
  public var role: Limit?
  /// The database's limit; nil without one.
  public var database: Limit?

  /// Sessions of this fleet, as application names tell; nil if that was not asked.
  public var fleet: Fleet?

  /// Instances whose application names have the same beginning, up to the slash.
  public struct Fleet: Hashable, Sendable {
    /// How many names there are, that of who asked included.
    public var instances: Int
    /// Without the session that asked.
    public var sessions: Int

    /// So many of each.
    public init(instances: Int, sessions: Int) {
      self.instances = instances
      self.sessions = sessions
    }
  }

  /// A limit of its own for some sessions.
  public struct Limit: Hashable, Sendable {
    /// How many there may be.
    public var limit: Int
    /// How many there are, without the session that asked.
    public var used: Int

    /// `used` of `limit`.
    public init(limit: Int, used: Int) {
      self.limit = limit
      self.used = used
    }
  }

  /// What a server said.
  public init(
    maxConnections: Int, reserved: Int, used: Int, role: Limit? = nil, database: Limit? = nil,
    fleet: Fleet? = nil
  ) {
    self.maxConnections = maxConnections
    self.reserved = reserved
    self.used = used
    self.role = role
    self.database = database
    self.fleet = fleet
  }

  /// Sessions that are free for us, the one that asked included.
  public var free: Int { max(0, scarcest.free) }

  /// `max_connections 100, 3 reserved, at least 6 used: about 91 free`, with narrower limits if there are any.
  public var text: String {
    var text = "max_connections \(maxConnections), \(reserved) reserved, at least \(used) used"
    if let role { text += ", role limit \(role.limit) with \(role.used) used" }
    if let database { text += ", database limit \(database.limit) with \(database.used) used" }
    return text + ": about \(free) free"
  }

  /// What stands in the way of more sessions: `at least 97 of 97 used`, the one that asked counted.
  var shortage: String {
    let (limit, used, whose) = scarcest.description
    return "at least \(used + 1) of \(limit) used\(whose)"
  }

  private var scarcest: (free: Int, description: (limit: Int, used: Int, whose: String)) {
    let usable = maxConnections - reserved
    var scarcest = (free: usable - used, description: (usable, used, ""))
    for (limit, whose) in [(role, " by this role"), (database, " in this database")] {
      guard let limit, limit.limit - limit.used < scarcest.free else { continue }
      scarcest = (limit.limit - limit.used, (limit.limit, limit.used, whose))
    }
    return scarcest
  }
}
