import PoolCore

/// An instance that does nothing but log in as its policy says. Such pools have no verdict of their own: it counts as
/// ready while it has a connection.
struct PolicyInstance<Policy: LoginPolicy>: SimulatedInstance {
  private enum Place: Sendable {
    case vacant
    case connecting(ConnectionID)
    case open(ConnectionID)
  }

  private var policy: Policy
  private var places: [Place]
  private var open = 0
  private var lastID: UInt64 = 0
  private var isEnding = false

  init(connections: Int, seed: UInt64) {
    policy = Policy(places: connections, random: RandomSource(seed: seed))
    places = Array(repeating: .vacant, count: connections)
  }

  static var asksItself: Bool { false }
  var nextWake: Instant? { isEnding ? nil : policy.nextWake }
  var saysReady: Bool { open > 0 }
  var isScouting: Bool { open == 0 }

  mutating func handle(_ event: Event, at now: Instant, into buffer: inout [Effect]) {
    buffer.removeAll(keepingCapacity: true)
    switch event {
    case .begin: for place in places.indices { policy.vacated(place, at: now) }
    case .loggedIn(let id, _, _, _):
      guard let place = place(of: id) else { return }
      places[place] = .open(id)
      open += 1
      policy.opened(place, at: now)
    case .loginFailed(let id, _):
      guard let place = place(of: id) else { return }
      places[place] = .vacant
      policy.failed(place, at: now)
    case .ended(let id, _):
      guard let place = place(of: id) else { return }
      places[place] = .vacant
      open -= 1
      buffer.append(.close(id, .ended))
      policy.vacated(place, at: now)
    case .terminate: end(into: &buffer)
    default: break
    }
    while !isEnding, let place = policy.nextLogin(at: now) {
      lastID += 1
      places[place] = .connecting(ConnectionID(lastID))
      buffer.append(.login(ConnectionID(lastID), at: .anywhere))
    }
  }

  private mutating func end(into buffer: inout [Effect]) {
    isEnding = true
    for place in places {
      switch place {
      case .vacant: break
      case .connecting(let id): buffer.append(.abandonLogin(id))
      case .open(let id): buffer.append(.close(id, .drain))
      }
    }
    buffer.append(.drained(DrainProgress(stage: .done, began: .origin, deadline: .origin)))
  }

  private func place(of id: ConnectionID) -> Int? {
    places.firstIndex {
      switch $0 {
      case .vacant: false
      case .connecting(let other), .open(let other): other == id
      }
    }
  }
}
