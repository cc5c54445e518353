import PoolCore

/// What a pool is, in its simplest form: a list of connections and a list of callers that wait. It decides nothing
/// about when to connect; it knows which grants and refusals the rules leave no choice about, and judges the others.
/// It shares nothing with `PoolCore` but the vocabulary.
struct ReferencePool {
  enum Use: Equatable {
    case connecting
    case free
    /// A question is under way.
    case asked
    case leased(LeaseID)
  }

  struct Connection {
    var id: ConnectionID
    var use: Use
    /// When it last came from a login or a lease. No question is use.
    var used = Instant.origin
    var isDead = false
  }

  struct Waiter {
    var lease: LeaseID
    var deadline: Instant
  }

  let ceiling: Int
  let waitingLimit: Int
  /// The oldest first.
  private(set) var connections: [Connection] = []
  /// Who has waited longest first.
  private(set) var line: [Waiter] = []
  /// Grants and refusals each caller has had since it asked: never more than one, and one in the end.
  private(set) var ends: [LeaseID: Int] = [:]
  let problems = Problems()
  /// A connection was lost lately, or is to be given up: which of the others is still good is not for the
  /// model to say.
  var isTroubled = false
  /// A drain was asked for, and not taken back.
  var isDraining = false

  init(_ settings: PoolSettings) {
    ceiling = settings.maxConnections
    waitingLimit = settings.waitingLimit
  }

  func holder(of id: ConnectionID) -> LeaseID? {
    if case .leased(let lease) = find(id)?.use { lease } else { nil }
  }

  var leased: [(lease: LeaseID, id: ConnectionID)] {
    connections.compactMap { if case .leased(let lease) = $0.use { (lease, $0.id) } else { nil } }
  }

  var open: [ConnectionID] { connections.filter { $0.use != .connecting }.map(\.id) }

  func find(_ id: ConnectionID) -> Connection? { connections.first { $0.id == id } }

  private mutating func change(_ id: ConnectionID, _ change: (inout Connection) -> Void) {
    guard let index = connections.firstIndex(where: { $0.id == id }) else { return }
    change(&connections[index])
  }

  /// What did not hold. Apart from the model, so that a sentence about the model can be made while it is looked at.
  final class Problems {
    private(set) var found: [String] = []

    func require(_ holds: Bool, _ law: @autoclosure () -> String) {
      if !holds { found.append(law()) }
    }
  }

  /// What an event leaves no choice about.
  private enum Duty {
    case none
    /// The caller gets this one at once.
    case grant(LeaseID, ConnectionID)
    case refuse(LeaseID, String)
    /// The caller joins the line.
    case wait(LeaseID)
    /// The connection is kept.
    case keep(ConnectionID)
  }

  /// One event with the effects that it had. `probe`: the connection reserved for the probe, before the event.
  mutating func apply(_ event: Event, _ effects: [Effect], probe: ConnectionID?, at now: Instant) {
    var late = line.filter { $0.deadline <= now }.map(\.lease)
    if case .abandon(let lease) = event {
      late.removeAll { $0 == lease }
      if line.contains(where: { $0.lease == lease }) { ends[lease, default: 0] += 1 }
      line.removeAll { $0.lease == lease }
    }
    let waiting = line.count
    let duty = enter(event, late: late, probe: probe, at: now)

    var timedOut: [LeaseID] = []
    var granted: [LeaseID: ConnectionID] = [:]
    var refused: [LeaseID: String] = [:]
    var closed: [ConnectionID] = []
    for effect in effects {
      switch effect {
      case .login(let id, _):
        problems.require(find(id) == nil, "\(id) logs in twice")
        connections.append(Connection(id: id, use: .connecting))
        problems.require(
          connections.count <= ceiling, "\(connections.count) connections, the ceiling is \(ceiling)")
      case .abandonLogin(let id): connections.removeAll { $0.id == id }
      case .probe(let id), .verify(let id):
        problems.require(holder(of: id) == nil, "\(id) is asked while it is leased")
        problems.require(
          find(id).map { $0.use != .connecting && !$0.isDead } == true, "\(id) is asked and not open")
        change(id) { $0.use = .asked }
      case .close(let id, _):
        problems.require(find(id).map { $0.use != .connecting } == true, "\(id) is closed and not open")
        closed.append(id)
        connections.removeAll { $0.id == id }
      case .grant(let lease, let id):
        granted[lease] = id
        problems.require(
          find(id).map { $0.use != .connecting && !$0.isDead } == true, "\(id) is granted and not open")
        problems.require(holder(of: id) == nil, "\(id) is granted and leased already")
        let waiter = line.first
        problems.require(
          waiter?.lease == lease, "\(lease) is granted, \(waiter.map { "\($0.lease)" } ?? "nobody") is next")
        problems.require(!late.contains(lease), "\(lease) is granted after its deadline")
        line.removeAll { $0.lease == lease }
        ends[lease, default: 0] += 1
        change(id) { $0.use = .leased(lease) }
      case .refuse(let lease, let why):
        problems.require(line.contains { $0.lease == lease }, "\(lease) is refused and does not wait")
        refused[lease] = why.name
        ends[lease, default: 0] += 1
        judge(why, of: lease)
        if case .timedOut = why { timedOut.append(lease) }
        line.removeAll { $0.lease == lease }
      case .drained:
        problems.require(connections.isEmpty, "drained with \(connections.count) connections")
        problems.require(line.isEmpty, "drained while \(line.count) wait")
      default: break
      }
    }
    // A granted caller is not late, so this leaves nobody behind and takes nobody early.
    problems.require(
      Set(timedOut).isSuperset(of: late), "\(late) are late, \(timedOut) were told")
    problems.require(
      timedOut.allSatisfy { late.contains($0) || $0 == newcomer(event) },
      "\(timedOut) timed out, \(late) are late")
    // Who joins for a connection that is being asked may be beyond the limit, and stays if that one is lost.
    if newcomer(event) != nil {
      let promised = connections.count { $0.use == .free || $0.use == .asked }
      problems.require(
        line.count <= max(waitingLimit + promised, waiting),
        "\(line.count) wait, the limit is \(waitingLimit)")
    }
    for (lease, count) in ends where count > 1 { problems.require(false, "\(lease) ended \(count) times") }

    switch duty {
    case .none: break
    case .grant(let lease, let id):
      problems.require(
        granted[lease] == id, "\(lease) gets \(granted[lease].map { "\($0)" } ?? "nothing"), not \(id)")
    case .refuse(let lease, let why):
      problems.require(
        refused[lease] == why, "\(lease) is not refused with \(why): \(refused[lease] ?? "not at all")")
    case .wait(let lease):
      problems.require(refused[lease] == nil, "\(lease) is refused: \(refused[lease] ?? "")")
    case .keep(let id): problems.require(!closed.contains(id), "\(id) is given back in order, and closed")
    }
  }

  private func judge(_ why: AcquireRefusal, of lease: LeaseID) {
    if case .timedOut(let waited) = why {
      problems.require(waited >= .zero, "\(lease) waited \(waited)")
    } else if case .queueFull(let limit) = why {
      problems.require(line.count > waitingLimit, "\(lease) meets a full queue of \(line.count - 1)")
      problems.require(limit == waitingLimit, "the limit is \(waitingLimit), not \(limit)")
    } else if why == .draining {
      problems.require(isDraining, "\(lease) is refused for a drain that there is not")
    } else if why == .noCapacity {
      problems.require(ceiling == 1, "\(lease) is refused a pool of \(ceiling)")
    } else {
      problems.require(isTroubled, "\(lease) is refused (\(why.name)) although nothing is wrong")
    }
  }

  private func newcomer(_ event: Event) -> LeaseID? {
    if case .acquire(let lease, _) = event { lease } else { nil }
  }

  /// The event itself, and what it obliges the pool to.
  private mutating func enter(_ event: Event, late: [LeaseID], probe: ConnectionID?, at now: Instant) -> Duty
  {
    switch event {
    case .loggedIn(let id, _, _, _):
      change(id) {
        $0.use = .free
        $0.used = now
      }
    case .verified(let id), .probeAnswered(let id):
      if holder(of: id) == nil { change(id) { $0.use = .free } }
    case .loginFailed(let id, _): connections.removeAll { $0.id == id && $0.use == .connecting }
    case .ended(let id, _): change(id) { $0.isDead = true }
    case .probeFailed(let id, _, let usable): if !usable { change(id) { $0.isDead = true } }
    case .acquire(let lease, let deadline):
      ends[lease] = 0
      let ahead = line.filter { !late.contains($0.lease) }
      line.append(Waiter(lease: lease, deadline: deadline))
      if isDraining { return .none }
      if ceiling == 1 { return .refuse(lease, "no_capacity") }
      if isTroubled { return .none }
      let free = connections.filter { $0.use == .free && $0.id != probe && !$0.isDead }
      let isAnyAsked = connections.contains { $0.use == .asked && $0.id != probe }
      // Used within a second, it is lent without a question: the one that was used last.
      if ahead.isEmpty, !isAnyAsked, let best = free.max(by: { $0.used < $1.used }),
        now - best.used <= .seconds(1), free.count(where: { $0.used == best.used }) == 1
      {
        return .grant(lease, best.id)
      }
      guard free.isEmpty, !isAnyAsked else { return .none }
      if deadline <= now { return .refuse(lease, "timed_out") }
      return ahead.count >= waitingLimit ? .refuse(lease, "queue_full") : .wait(lease)
    case .release(let lease, let id, let reusable, let fault):
      guard leased.contains(where: { $0.lease == lease && $0.id == id }) else { return .none }
      change(id) {
        $0.use = .free
        $0.used = now
      }
      let isGood = reusable && fault == nil && find(id)?.isDead == false
      guard isGood, !isTroubled, !isDraining, probe != nil else { return .none }
      if let next = line.first(where: { !late.contains($0.lease) }) { return .grant(next.lease, id) }
      return .keep(id)
    default: break
    }
    return .none
  }
}
