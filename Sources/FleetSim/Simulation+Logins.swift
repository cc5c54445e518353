import PoolCore

/// The way of a login: from the instance to the server, through its queue, and back, unless somebody gives up.
extension Simulation {
  mutating func logIn(_ seat: Int32, _ id: UInt32) {
    let place = Int(seat)
    if seats[place].links.count >= setup.connections { tally.broken("an instance logs in above its maximum") }
    if seats[place].saysNoSlots, !seats[place].instance.isScouting {
      tally.broken("an instance logs in while it says that there are no slots")
    }
    var link = Seat<Instance>.Link(id: id, state: .connecting, since: now)
    if seats[place].hasNoNetwork { link.state = .unheard }
    seats[place].links.append(link)
    if now < story { return agenda.add(.admitted(seat: seat, id: id), at: now + setup.model.latency) }
    agenda.add(.loginDeadline(seat: seat, id: id), at: now + setup.model.connectTimeout)
    guard link.state == .connecting else { return }
    let refusal = server.arrive(.init(seat: seat, id: id))
    tally.loginArrived(refusal, at: now)
    if let refusal {
      agenda.add(.refused(seat: seat, id: id, why: refusal), at: now + setup.model.latency)
    } else {
      giveWork()
    }
  }

  /// Workers that are free take what waits.
  mutating func giveWork() {
    while let work = server.takeNext(at: now) { agenda.add(.worked(ticket: work.ticket), at: work.ends) }
  }

  mutating func worked(_ ticket: UInt32) {
    switch server.done(ticket) {
    case nil: return
    case .start(let seat):
      server.started(ticket)
      tell(seat, .begin)
    case .login(let login):
      let isWanted = seats[Int(login.seat)].links.contains { $0.id == login.id && $0.state == .connecting }
      server.settle(ticket, isWanted: isWanted)
      if isWanted { opened(login.seat, login.id) } else { tally.wasted += 1 }
    }
    giveWork()
  }

  /// As `worked`, of a login that took no work.
  mutating func open(_ seat: Int32, _ id: UInt32) {
    guard seats[Int(seat)].index(of: id) != nil else { return }
    server.admit()
    opened(seat, id)
  }

  private mutating func opened(_ seat: Int32, _ id: UInt32) {
    let place = Int(seat)
    guard let index = seats[place].index(of: id) else { return }
    // The server's last word does not get through; the session is there all the same.
    if seats[place].hasNoNetwork {
      seats[place].links[index].state = .unheard
      return seats[place].unclosed += 1
    }
    let took = now - seats[place].links[index].since
    seats[place].links[index].state = .open
    seats[place].open += 1
    if seats[place].stage == .running { tally.opened(now: seats[place].open, at: now) }
    tell(seat, .loggedIn(ConnectionID(UInt64(id)), host: HostID(0), took: took))
  }

  /// A login has failed, as its client hears.
  mutating func fail(_ seat: Int32, _ id: UInt32, _ fault: Fault) {
    let place = Int(seat)
    guard !seats[place].hasNoNetwork, let index = seats[place].index(of: id),
      seats[place].links[index].state == .connecting
    else { return }
    seats[place].links.remove(at: index)
    tell(seat, .loginFailed(ConnectionID(UInt64(id)), fault))
  }

  mutating func loginDeadline(_ seat: Int32, _ id: UInt32) {
    let place = Int(seat)
    guard let index = seats[place].index(of: id) else { return }
    let step: Fault.Step
    switch seats[place].links[index].state {
    case .open, .cut: return
    case .connecting: step = .authentication
    case .unheard: step = .tcp
    }
    seats[place].links.remove(at: index)
    tally.timedOut += 1
    tell(seat, .loginFailed(ConnectionID(UInt64(id)), Fault(.timedOut, at: step)))
  }

  /// The client waits no longer. The server works on.
  mutating func abandon(_ seat: Int32, _ id: UInt32) {
    guard let index = seats[Int(seat)].index(of: id) else { return }
    seats[Int(seat)].links.remove(at: index)
  }
}
