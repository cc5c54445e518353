import PoolCore

/// The end of sessions: by the instance, by the server, and across a network that hides it.
extension Simulation {
  /// A question on this connection reaches the server, and its answer the instance.
  func hears(_ seat: Int32, _ id: UInt32) -> Bool {
    let place = Int(seat)
    guard !seats[place].hasNoNetwork, let index = seats[place].index(of: id) else { return false }
    return seats[place].links[index].state == .open
  }

  mutating func close(_ seat: Int32, _ id: UInt32) {
    let place = Int(seat)
    guard let index = seats[place].index(of: id) else { return }
    let link = seats[place].links.remove(at: index)
    switch link.state {
    case .connecting, .unheard: return
    case .cut: break
    case .open:
      if seats[place].hasNoNetwork { seats[place].unclosed += 1 } else { server.end() }
    }
    lostOne(place)
  }

  private mutating func lostOne(_ place: Int) {
    seats[place].open -= 1
    if seats[place].stage == .running { tally.closed(now: seats[place].open) }
  }

  /// The server ends everything that it has to do with this instance, which hears of it if it has a network.
  mutating func cut(_ seat: Int32, _ fault: Fault) {
    let place = Int(seat)
    seats[place].unclosed = 0
    var ended: [UInt32] = []
    var failed: [UInt32] = []
    for index in seats[place].links.indices {
      switch seats[place].links[index].state {
      case .open:
        seats[place].links[index].state = .cut
        ended.append(seats[place].links[index].id)
      case .connecting: failed.append(seats[place].links[index].id)
      case .cut, .unheard: break
      }
    }
    guard !seats[place].hasNoNetwork else { return }
    for id in ended where seats[place].index(of: id) != nil {
      tell(seat, .ended(ConnectionID(UInt64(id)), fault))
    }
    for id in failed { fail(seat, id, Fault(.closed, at: .session)) }
  }

  /// Callers have found out that nothing answers.
  mutating func endAll(_ seat: Int32, _ fault: Fault) {
    for id in seats[Int(seat)].links.filter({ $0.state == .open }).map(\.id)
    where seats[Int(seat)].index(of: id) != nil {
      tell(seat, .ended(ConnectionID(UInt64(id)), fault))
    }
  }

  /// The instance has its network back: either side learns what the other one has done.
  mutating func reconnect(_ seat: Int32) {
    let place = Int(seat)
    seats[place].hasNoNetwork = false
    for _ in 0..<seats[place].unclosed { server.end() }
    seats[place].unclosed = 0
    let cut = seats[place].links.filter { $0.state == .cut }.map(\.id)
    for id in cut where seats[place].index(of: id) != nil {
      tell(seat, .ended(ConnectionID(UInt64(id)), Fault(.closed, at: .idle)))
    }
  }
}
