/// One connection of the pool, from the start of its login to its close.
struct Member: Sendable {
  enum State: Hashable, Sendable {
    /// A login is under way. → idle, reserved, gone
    case connecting
    /// Open and free. → leased, reserved, checking, verifying, gone
    case idle
    /// The probe's own. → idle, gone
    case reserved
    /// An empty query is under way, for whoever waits longest by then. → idle, reserved, gone
    case checking
    /// An empty query is under way, for nobody in particular. → idle, reserved, gone
    case verifying
    /// In somebody's hands. → idle, reserved, gone
    case leased(LeaseID)
  }

  var state: State
  /// When `state` began.
  var since: Instant
  /// The generation in which it was opened.
  var generation: Int
  var host: HostID?
  /// Nil if it does not tell.
  var server: ServerID?
  /// From here on it is too old; never, while connecting.
  var expires: Instant = .distantFuture
  /// When it last came from a login or a lease. Neither a probe nor a keep-alive is use.
  var lastUsed: Instant = .origin
  /// Spreads what falls due after a time of idleness, 0.8 to 1.2: connections of the same age do not do the same at
  /// once. Chosen anew whenever it was asked.
  var spread = 1.0
  /// What is to be asked of it before it is lent.
  var doubt = Doubt.none
  /// While leased: it cannot be used again.
  fileprivate(set) var isBroken = false

  var isOpen: Bool { state != .connecting }

  /// Why a connection that was used a moment ago is asked all the same.
  enum Doubt: Hashable, Sendable {
    case none
    /// One beside it turned out to be dead.
    case unsure
    /// A sibling was lost in a way that may concern all: its failure is the second, and speaks for them.
    case suspect
  }
}

/// The connections of a pool. The number in each state is kept by the one place that changes states.
///
/// A *generation* is a set of connections that are given up together, because the server behind them is another one
/// now. Leases of an earlier generation finish; they are open, but count for nothing else: they are *retired*.
struct Members: Sendable {
  /// The oldest first: identifiers count up, so a new one goes to the end, and a search by halves finds it.
  private(set) var all: [(id: ConnectionID, member: Member)] = []
  /// Free connections in the order of `lastUsed`, the last one at the end: taking from there leaves the others idle
  /// long enough to be pruned.
  private(set) var idle: [ConnectionID] = []
  private(set) var connecting = 0
  private(set) var leased = 0
  private(set) var checking = 0
  private(set) var verifying = 0
  /// Leased ones that are broken or of an earlier generation: they end with their lease.
  private var spent = 0
  private var broken = 0
  private(set) var generation = 1
  private var lastID: UInt64 = 0

  var count: Int { all.count }
  var open: Int { all.count - connecting }
  /// Open connections that work and belong to the present generation.
  var current: Int { open - spent }
  /// Open connections that work, of any generation.
  var working: Int { open - broken }
  subscript(id: ConnectionID) -> Member? { index(of: id).map { all[$0].member } }

  private func index(of id: ConnectionID) -> Int? {
    var (low, high) = (0, all.count)
    while low < high {
      let middle = (low + high) / 2
      if all[middle].id < id { low = middle + 1 } else { high = middle }
    }
    return low < all.count && all[low].id == id ? low : nil
  }

  mutating func add(at now: Instant) -> ConnectionID {
    lastID += 1
    let id = ConnectionID(lastID)
    all.append((id, Member(state: .connecting, since: now, generation: generation)))
    connecting += 1
    return id
  }

  /// Its login succeeded: it belongs to the present generation, whenever it was begun.
  mutating func opened(
    _ id: ConnectionID, host: HostID, server: ServerID?, expires: Instant, spread: Double
  ) {
    guard let index = index(of: id) else { return }
    all[index].member.host = host
    all[index].member.server = server
    all[index].member.expires = expires
    all[index].member.spread = spread
    all[index].member.generation = generation
  }

  /// Begins another generation. Whatever is not leased is expected to be closed.
  mutating func nextGeneration() {
    generation += 1
    spent = leased
  }

  func isRetired(_ member: Member) -> Bool { member.isOpen && member.generation != generation }

  /// A leased one has ended; it stays with its lease.
  mutating func breaks(_ id: ConnectionID) {
    guard let index = index(of: id), !all[index].member.isBroken else { return }
    if !isRetired(all[index].member) { spent += 1 }
    all[index].member.isBroken = true
    broken += 1
  }

  /// Moves a member to another state. No-op for one that is gone.
  mutating func move(_ id: ConnectionID, to state: Member.State, at now: Instant) {
    guard let index = index(of: id) else { return }
    let previous = all[index].member.state
    leave(previous, id)
    all[index].member.state = state
    all[index].member.since = now
    switch previous {
    case .connecting, .leased: all[index].member.lastUsed = now
    case .idle, .reserved, .checking, .verifying: break
    }
    switch state {
    case .connecting: connecting += 1
    case .idle: insertIdle(id, lastUsed: all[index].member.lastUsed)
    case .leased: leased += 1
    case .checking: checking += 1
    case .verifying: verifying += 1
    case .reserved: break
    }
  }

  mutating func update(_ id: ConnectionID, _ change: (inout Member) -> Void) {
    guard let index = index(of: id) else { return }
    let state = all[index].member.state
    change(&all[index].member)
    assert(all[index].member.state == state, "a state changes by move(_:to:at:) only")
  }

  @discardableResult
  mutating func remove(_ id: ConnectionID) -> Member? {
    guard let index = index(of: id) else { return nil }
    let member = all.remove(at: index).member
    leave(member.state, id)
    // Others of an earlier generation are closed as it ends, and were never counted.
    if case .leased = member.state, member.isBroken || isRetired(member) { spent -= 1 }
    if member.isBroken { broken -= 1 }
    return member
  }

  /// At the end, unless it comes back from a question that was not use.
  private mutating func insertIdle(_ id: ConnectionID, lastUsed: Instant) {
    var (low, high) = (0, idle.count)
    if let last = idle.last, (self[last]?.lastUsed ?? .origin) <= lastUsed { low = high }
    while low < high {
      let middle = (low + high) / 2
      if (self[idle[middle]]?.lastUsed ?? .origin) <= lastUsed { low = middle + 1 } else { high = middle }
    }
    idle.insert(id, at: low)
  }

  private mutating func leave(_ state: Member.State, _ id: ConnectionID) {
    switch state {
    case .connecting: connecting -= 1
    case .idle: if idle.last == id { idle.removeLast() } else { idle.removeAll { $0 == id } }
    case .leased: leased -= 1
    case .checking: checking -= 1
    case .verifying: verifying -= 1
    case .reserved: break
    }
  }
}
