import PoolCore

/// A fleet of instances of one strategy and one server, in virtual time. The same setup gives the same outcome, to the
/// byte: time and chance are made up here.
struct Simulation<Instance: SimulatedInstance> {
  let setup: Setup
  let strategy: Strategy
  let make: (_ seed: UInt64, _ now: Instant) -> Instance

  var now = Instant.origin
  var agenda = Agenda()
  var server: Server
  var seats: [Seat<Instance>] = []
  var tally: Tally
  var random: RandomSource
  /// Instances that have come, but for those of a rollout.
  var recruited = 0
  var rollout: Rollout?
  var partitions: [Int32: [Int32]] = [:]
  private var effects: [Effect] = []

  /// As `WarmPool` has it: nobody waits longer to hear how much room there is.
  private static var roomPatience: Duration { .milliseconds(200) }

  /// Instances that are warm get there before the story begins, at a time of their own: so they do not ask the same
  /// question in step for ever after.
  static var lead: Duration { .seconds(20) }
  var story: Instant { .origin + Self.lead }
  var calm: Instant { story + setup.scenario.calm }

  init(_ setup: Setup, _ strategy: Strategy, make: @escaping (_ seed: UInt64, _ now: Instant) -> Instance) {
    (self.setup, self.strategy, self.make) = (setup, strategy, make)
    server = Server(setup.model)
    random = RandomSource(seed: setup.seed)
    let story = Instant.origin + Self.lead
    tally = Tally(
      story: story, calm: story + setup.scenario.calm,
      troubleBegins: setup.scenario.troubleBegins.map { story + $0 }, connections: setup.connections)
    for (index, part) in setup.scenario.parts.enumerated() {
      let early = if case .warm = part.what { true } else { false }
      agenda.add(.happening(Int32(index)), at: early ? .origin : story + part.at)
    }
  }

  /// Until everything is well again, or nobody believes that it will be.
  mutating func run() -> Outcome {
    let last = story + setup.scenario.end
    let end = calm + setup.patience
    while let next = agenda.next, next <= end {
      if now >= last, now >= calm, isSettled, next > now { break }
      tally.advance(to: next)
      now = next
      if let entry = agenda.takeNext() { happen(entry.item, due: entry.at) }
      tally.sessions = server.sessions
    }
    tally.finish(at: now)
    checkLaws()
    return tally.outcome(setup, strategy, server: server)
  }

  private var isSettled: Bool { rollout == nil && tally.isWell }

  private mutating func happen(_ item: Agenda.Item, due: Instant) {
    switch item {
    case .begin(let seat): tell(seat, .begin)
    case .wake(let seat):
      guard seats[Int(seat)].wake == due else { return }
      seats[Int(seat)].wake = nil
      // It may have come to want a later one meanwhile.
      if let wanted = seats[Int(seat)].instance.nextWake, wanted > now { return planWake(seat, wanted) }
      tell(seat, .wake)
    case .worked(let ticket): worked(ticket)
    case .admitted(let seat, let id): open(seat, id)
    case .refused(let seat, let id, let why): fail(seat, id, why.fault)
    case .loginDeadline(let seat, let id): loginDeadline(seat, id)
    case .probeAnswer(let seat, let id):
      if hears(seat, id) { tell(seat, .probeAnswered(ConnectionID(UInt64(id)))) }
    case .roomAnswer(let seat, let id):
      tell(seat, .roomAnswered(ConnectionID(UInt64(id)), hears(seat, id) ? roomForOne : nil))
    case .verifyAnswer(let seat, let id):
      if hears(seat, id) { tell(seat, .verified(ConnectionID(UInt64(id)))) }
    case .finished(let seat, let id): tell(seat, .finished(ConnectionID(UInt64(id))))
    case .callersGiveUp(let seat):
      if seats[Int(seat)].hasNoNetwork { endAll(seat, Fault(.timedOut, at: .query)) }
    case .happening(let index): begin(Int(index))
    case .happeningEnds(let index): end(Int(index))
    case .serverStarts(let run): if run == server.run { server.begin(.starting) }
    case .serverStarted(let run):
      if run == server.run, server.condition == .starting { server.begin(.up) }
    }
  }

  /// Who is warm when the story begins has counted the fleet when all of it was there.
  private var roomForOne: ServerRoom {
    var room = server.roomForOne
    room.fleet = .init(
      instances: now < story ? recruited : tally.withOne, sessions: max(0, server.sessions - 1))
    return room
  }

  /// Tells an instance what happened, and carries out what it wants.
  mutating func tell(_ seat: Int32, _ event: Event) {
    let place = Int(seat)
    guard seats[place].stage != .gone else { return }
    var wanted: [Effect] = []
    swap(&wanted, &effects)
    tally.events += 1
    seats[place].instance.handle(event, at: now, into: &wanted)
    for effect in wanted { carryOut(effect, of: seat) }
    swap(&wanted, &effects)
    noteReadiness(seat)
    if let wake = seats[place].instance.nextWake { planWake(seat, wake) }
  }

  /// What instances want of the world is all here.
  private mutating func carryOut(_ effect: Effect, of seat: Int32) {
    switch effect {
    case .login(let id, _): logIn(seat, UInt32(truncatingIfNeeded: id.number))
    case .abandonLogin(let id): abandon(seat, UInt32(truncatingIfNeeded: id.number))
    case .probe(let id):
      let id = UInt32(truncatingIfNeeded: id.number)
      if hears(seat, id) { agenda.add(.probeAnswer(seat: seat, id: id), at: now + setup.model.latency) }
    case .askRoom(let id):
      let id = UInt32(truncatingIfNeeded: id.number)
      let patience = hears(seat, id) ? setup.model.latency : Self.roomPatience
      agenda.add(.roomAnswer(seat: seat, id: id), at: now + patience)
    case .verify(let id):
      let id = UInt32(truncatingIfNeeded: id.number)
      if hears(seat, id) { agenda.add(.verifyAnswer(seat: seat, id: id), at: now + setup.model.latency) }
    case .finish(let id):
      let id = UInt32(truncatingIfNeeded: id.number)
      if hears(seat, id) { agenda.add(.finished(seat: seat, id: id), at: now) }
    case .close(let id, _): close(seat, UInt32(truncatingIfNeeded: id.number))
    case .drained: gone(seat)
    case .noSlots: seats[Int(seat)].saysNoSlots = true
    case .slotsFree: seats[Int(seat)].saysNoSlots = false
    case .cut, .grant, .refuse, .leaked, .leakReturned, .drainTakenBack, .resumed, .resumeRefused: break
    // None of the strategies has tickets.
    case .askTicket, .returnTicket, .noTicket, .countApp: break
    case .breaker, .retired, .transition, .fault, .loginsWork: break
    }
  }

  /// There is at most one wake of an instance in the agenda that counts; an earlier one takes its place.
  private mutating func planWake(_ seat: Int32, _ time: Instant) {
    let time = max(time, now)
    if let planned = seats[Int(seat)].wake, planned <= time { return }
    seats[Int(seat)].wake = time
    agenda.add(.wake(seat: seat), at: time)
  }

  private mutating func noteReadiness(_ seat: Int32) {
    let place = Int(seat)
    guard seats[place].stage == .running else { return }
    let ready = seats[place].instance.saysReady
    guard ready != seats[place].isReady else { return }
    seats[place].isReady = ready
    tally.ready += ready ? 1 : -1
    guard ready, !seats[place].hasBeenReady else { return }
    seats[place].hasBeenReady = true
    advanceRollout(seat)
  }

  /// An instance is part of the fleet from now on.
  mutating func addSeat() -> Int32 {
    let seat = Int32(seats.count)
    seats.append(Seat(make(random.next(), now)))
    tally.joined()
    return seat
  }
}
