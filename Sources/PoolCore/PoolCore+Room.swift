/// The server's room. An instance that warms, or was refused for want of slots, reads how many sessions there are and
/// how many there may be, on the connection it has; while there is too little for what it needs, it does not knock.
///
/// Room is claimed whole: with less than the rest of the floor, none of it is taken, and what was taken already is given
/// back, but for the probe's connection. Otherwise a fleet that does not fit would share all slots among instances of
/// which none is ready.
struct Headroom: Sendable {
  /// As it was last read; nil while it is not known, or cannot be.
  var reading: ServerRoom?
  var readAt: Instant?
  /// The question that is under way.
  var asked: (on: ConnectionID, at: Instant)?
  /// It has been asked since the pool began, was resumed, or got a ticket.
  var wasAsked = false
  /// Logins wait for room.
  var hold: Hold?
  /// An equal share of the room, while that is less than the floor.
  var share: Int?

  struct Hold: Sendable {
    var since: Instant
    /// Readings that showed too little, in a row.
    var shortages = 0
    /// How many sessions were needed when that was last read; nil before.
    var needed: Int?
  }
}

extension PoolCore {
  /// So many logins are over before a new session has answered: it has its caches to fill.
  static let fewLogins = 4
  /// Slots are given back within this time: before long, and not by all instances at once.
  static let givesBackWithin: Duration = .seconds(2)
  /// A connection that is alone where too little is free is given up after so long: others have too little too, and what
  /// it and its like leave may be all that one of them needs.
  static let scoutLeavesAfter: ClosedRange<Duration> = .seconds(5)...(.seconds(15))
  /// It comes back within this time.
  static let scoutReturnsWithin: Duration = .seconds(10)

  /// While nobody waits for room the fleet is counted anew all the same, for the next time that all come at once: sooner
  /// while the instance is young.
  static let countsAnewEvery: ClosedRange<Duration> = .seconds(180)...(.seconds(3600))
  /// All of a fleet together count it twice a second at most,
  static let countsSpread: Duration = .milliseconds(500)
  /// and read the room twenty times a second while they wait for it or share it.
  static let readersSpread: Duration = .milliseconds(50)

  /// How many sessions are wanted besides those that are open: the whole rest of the floor, or one more, and those that
  /// the application opens next.
  private var neededSlots: Int {
    max(floor - members.current, 1) + (phase == .warming ? settings.holdForApp : 0)
  }

  mutating func considerRoom(at now: Instant) {
    guard isServing, let id = probe.connection else {
      headroom.asked = nil
      (alarms.room, alarms.giveBack, alarms.scoutLeaves) = (nil, nil, nil)
      if settings.elasticMin { alarms.look = nil }
      if !isServing { headroom = Headroom() }
      return
    }
    if headroom.asked?.on != id { headroom.asked = nil }
    // Between two probes: the connection takes one question at a time.
    guard probe.isProven, probe.asked == nil, headroom.asked == nil else { return }
    if headroom.hold != nil {
      if alarms.room == nil { askRoom(on: id, at: now) }
    } else if !headroom.wasAsked {
      // Beside the first login, not before it. Few logins are over sooner than the answer comes, and a refusal tells as
      // much: then it is for the status, once the pool is ready.
      let missing = floor - members.current
      let isWanted = missing > Self.fewLogins || settings.elasticMin || tickets.isHeld
      if phase == .ready || isWanted { askRoom(on: id, at: now) }
    } else if alarms.look == nil, settings.elasticMin || phase == .ready {
      askRoom(on: id, at: now)
    }
  }

  private mutating func lookAgain(at now: Instant) {
    let (least, spread): (Duration, Duration)
    if settings.elasticMin {
      (least, spread) = (Self.sharesAnewEvery, Self.readersSpread)
    } else {
      let age = min(max(now - started, Self.countsAnewEvery.lowerBound), Self.countsAnewEvery.upperBound)
      (least, spread) = (age, Self.countsSpread)
    }
    let instances = Double(headroom.reading?.fleet?.instances ?? 1)
    alarms.look = now + max(least, spread.scaled(by: instances)).scaled(by: 0.5 + random.fraction())
  }

  /// How large the fleet is. While it is not all there, it may only be larger than was known.
  private mutating func countFleet(_ fleet: ServerRoom.Fleet?) {
    guard let count = fleet?.instances else { return }
    logins.fleet = phase == .ready ? count : max(logins.fleet ?? 1, count)
  }

  private mutating func askRoom(on id: ConnectionID, at now: Instant) {
    headroom.asked = (id, now)
    headroom.wasAsked = true
    effects.append(.askRoom(id))
  }

  /// `nil`: it cannot be read. Then logins go on as the server's refusals let them.
  mutating func roomAnswered(_ id: ConnectionID, _ room: ServerRoom?, at now: Instant) {
    guard let asked = headroom.asked, asked.on == id, probe.connection == id else { return }
    headroom.asked = nil
    headroom.reading = room
    headroom.readAt = room == nil ? nil : now
    countFleet(room?.fleet)
    lookAgain(at: now)
    takeShare(of: room, at: now)
    let isShort = members.current < floor
    let isWanted = headroom.hold != nil && (isShort || headroom.share == nil) || phase == .warming && isShort
    // Logins under way are perhaps counted already.
    if let room, isWanted, room.free - 1 < neededSlots - members.connecting {
      return holdLogins(for: room, at: now)
    }
    // What was refused after the question was asked, the answer does not know of.
    if let hold = headroom.hold, hold.needed == nil, hold.since >= asked.at { return }
    endHold()
  }

  private mutating func holdLogins(for room: ServerRoom, at now: Instant) {
    var hold = headroom.hold ?? Headroom.Hold(since: now)
    if hold.needed == nil { effects.append(.noSlots(room, needed: neededSlots)) }
    hold.needed = neededSlots
    hold.shortages += 1
    headroom.hold = hold
    let failingFor = now - hold.since
    let pace = RetryPace.full(fleet: logins.fleet, spread: Self.readersSpread)
    let wait = pace.delay(failures: hold.shortages, failingFor: failingFor, random: &random)
    alarms.room = now + wait
    guard phase == .warming else { return }
    if members.current > 1, alarms.giveBack == nil {
      alarms.giveBack = now + random.duration(from: .zero, to: Self.givesBackWithin)
    } else if members.current == 1, isScarce(room), alarms.scoutLeaves == nil {
      let (from, to) = (Self.scoutLeavesAfter.lowerBound, Self.scoutLeavesAfter.upperBound)
      alarms.scoutLeaves = now + random.duration(from: from, to: to)
    }
  }

  private mutating func endHold() {
    (alarms.room, alarms.scoutLeaves) = (nil, nil)
    if headroom.share == nil { alarms.giveBack = nil }
    if headroom.hold?.needed != nil { effects.append(.slotsFree) }
    headroom.hold = nil
    logins.roomFound()
  }

  /// A login was refused for want of slots: no other one without a reading, and that after a pause.
  mutating func slotsRefused(at now: Instant) {
    guard probe.connection != nil else { return }
    if headroom.hold == nil { headroom.hold = Headroom.Hold(since: now) }
    alarms.room = max(logins.notBefore, alarms.room ?? now)
  }

  /// Nobody is ready on half a pool, and the slots may be what another one needs to be ready.
  mutating func giveBackSlots(at now: Instant) {
    if headroom.share != nil { return giveBackAboveShare() }
    guard phase == .warming, headroom.hold != nil else { return }
    for id in members.idle { close(id, .noSlots) }
  }

  /// Perhaps connections like this one are all that fill the server, or stand between one of the fleet and its floor.
  private func isScarce(_ room: ServerRoom) -> Bool {
    let isOneOfMany = room.fleet.map { $0.instances > 1 } ?? false
    return room.free <= (isOneOfMany ? neededSlots : 1)
  }

  mutating func leaveServer(at now: Instant) {
    guard phase == .warming, headroom.hold != nil, members.count == 1, let id = probe.connection,
      let reading = headroom.reading, isScarce(reading)
    else { return }
    close(id, .noSlots)
    logins.wait(until: now + random.duration(from: .zero, to: Self.scoutReturnsWithin))
  }

  /// Why no login is begun, as far as it is known, while one is wanted.
  var noSlots: Reason? {
    guard let needed = headroom.hold?.needed, let reading = headroom.reading,
      logins.isFailing || members.current < floor,
      // Nothing worse is known since.
      members.open > 0 || !logins.isFailing || logins.report.lastFault?.sqlState == .tooManyConnections
    else { return nil }
    return .noSlots(reading, needed: needed)
  }

  var roomReport: RoomReport {
    RoomReport(
      reading: headroom.reading, readAt: headroom.readAt, needed: headroom.hold?.needed,
      nextLook: headroom.hold == nil ? alarms.look : alarms.room, share: headroom.share)
  }
}
