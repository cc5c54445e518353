import PoolCore

/// The parts of a scenario, as they begin and end.
extension Simulation {
  mutating func begin(_ index: Int) {
    let part = setup.scenario.parts[index].what
    if part.duration > .zero { agenda.add(.happeningEnds(Int32(index)), at: now + part.duration) }
    switch part {
    case .warm(let share):
      for _ in recruits(share) {
        let spread = Duration.nanoseconds(Int64.random(in: 0..<5_000_000_000, using: &random))
        agenda.add(.begin(seat: addSeat()), at: now + spread)
      }
    case .start(let share): for _ in recruits(share) { start() }
    case .roll(let share): beginRollout(atOnce: max(1, share.of(setup.instances)))
    case .outage(let down, let starting):
      goDown(for: down, starting: starting, Fault(.closed, at: .idle))
    case .restart(let down, let starting):
      goDown(for: down, starting: starting, Fault(.server(.adminShutdown), at: .idle))
    case .occupy(let share, _): server.occupy(share.of(setup.model.capacity))
    case .slow(let factor, _): slow(by: factor)
    case .partition(let share, _):
      let running = seats.indices.filter { seats[$0].stage == .running }.map { Int32($0) }
      let chosen = Array(running.shuffled(using: &random).prefix(share.of(running.count)))
      partitions[Int32(index)] = chosen
      for seat in chosen {
        seats[Int(seat)].hasNoNetwork = true
        if !Instance.asksItself {
          agenda.add(.callersGiveUp(seat: seat), at: now + setup.model.connectTimeout)
        }
      }
    }
  }

  mutating func end(_ index: Int) {
    switch setup.scenario.parts[index].what {
    case .warm, .start, .roll, .outage, .restart: break
    case .occupy(let share, _):
      server.release(share.of(setup.model.capacity))
    case .slow(let factor, _): slow(by: 1 / factor)
    case .partition: for seat in partitions.removeValue(forKey: Int32(index)) ?? [] { reconnect(seat) }
    }
    giveWork()
  }

  /// There are never more than the fleet has, but for a rollout.
  private mutating func recruits(_ share: Share) -> Range<Int> {
    let before = recruited
    recruited += min(share.of(setup.instances), setup.instances - recruited)
    return before..<recruited
  }

  private mutating func slow(by factor: Double) {
    for work in server.slow(by: factor, at: now) { agenda.add(.worked(ticket: work.ticket), at: work.ends) }
  }

  private mutating func goDown(for down: Duration, starting: Duration, _ fault: Fault) {
    server.goDown()
    let run = server.run
    agenda.add(.serverStarts(run: run), at: now + down)
    agenda.add(.serverStarted(run: run), at: now + down + starting)
    for seat in seats.indices { cut(Int32(seat), fault) }
  }
}
