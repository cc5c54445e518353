import PoolCore

/// The state of the modelled server: who waits for a login, who has a session, and what is left.
///
/// A login holds a slot from the moment it is let in, as a backend of PostgreSQL does before it has authenticated; it
/// is no session that others could see until it is done. Whether its client still waits, the server does not know: it
/// works on to the end.
struct Server {
  enum Condition: Hashable {
    /// Takes logins.
    case up
    /// Refuses, there is nobody.
    case down
    /// Refuses, in words.
    case starting
  }

  struct Login {
    var seat: Int32
    var id: UInt32
  }

  /// A login in the hands of a worker.
  struct Work {
    var login: Login
    /// Another one whenever its end has become another one.
    var ticket: UInt32
    var ends: Instant
  }

  let model: ServerModel
  private(set) var condition = Condition.up
  /// Counted up whenever it goes down.
  private(set) var run: UInt32 = 0
  /// The fleet's sessions, including those whose client has gone and the network hides it.
  private(set) var sessions = 0
  /// Sessions of others.
  private(set) var foreign = 0
  /// So many others want; what they do not get at once they take as it comes free.
  private var foreignWanted = 0
  private var work: [Work] = []
  private var tickets: UInt32 = 0
  private var queue: [Login] = []
  private var head = 0
  private(set) var slowness = 1.0

  init(_ model: ServerModel) { self.model = model }

  /// Logins that are being worked on.
  var busy: Int { work.count }
  /// Logins that wait for a worker.
  var waiting: Int { queue.count - head }
  /// Sessions that anybody can see.
  var used: Int { sessions + foreign }
  /// Slots that nobody holds, seen or unseen.
  var free: Int { max(0, model.capacity - used - busy - waiting) }

  /// What it tells one of the fleet that asks on a session. Logins that it works on, it does not see.
  var roomForOne: ServerRoom {
    ServerRoom(maxConnections: model.slots, reserved: model.reserved, used: max(0, used - 1))
  }

  /// Nil: let in, and told of when it is done.
  mutating func arrive(_ login: Login) -> Refusal? {
    switch condition {
    case .down: return .nobodyListens
    case .starting: return .starting
    case .up:
      if free == 0 { return .noSlots }
      queue.append(login)
      return nil
    }
  }

  /// Before the story begins there is time for everybody.
  mutating func admit() { sessions += 1 }

  /// The next login that a worker takes; nil if there is none, or no worker is free.
  mutating func takeNext(at now: Instant) -> Work? {
    guard condition == .up, busy < model.workers, head < queue.count else { return nil }
    let login = queue[head]
    head += 1
    if head > 4096, head > queue.count / 2 {
      queue.removeFirst(head)
      head = 0
    }
    tickets += 1
    let takes = model.cost(busy: busy + 1).scaled(by: slowness)
    work.append(Work(login: login, ticket: tickets, ends: now + takes))
    return work.last
  }

  /// A worker is done with this login, which still has its slot: `settle` follows. Nil if the work was ended before, or
  /// ends at another time.
  func done(_ ticket: UInt32) -> Login? { work.first { $0.ticket == ticket }?.login }

  /// The login becomes a session, or nothing if there is no client to take it.
  mutating func settle(_ ticket: UInt32, isWanted: Bool) {
    work.removeAll { $0.ticket == ticket }
    if isWanted { sessions += 1 }
    takeForeign()
  }

  /// A session of the fleet has ended.
  mutating func end() {
    sessions -= 1
    takeForeign()
  }

  /// All sessions end, and all logins; nothing listens.
  mutating func goDown() {
    condition = .down
    run += 1
    (sessions, foreign) = (0, 0)
    work = []
    queue = []
    head = 0
  }

  mutating func begin(_ next: Condition) {
    condition = next
    takeForeign()
  }

  mutating func occupy(_ count: Int) {
    foreignWanted += count
    takeForeign()
  }

  mutating func release(_ count: Int) {
    foreignWanted -= count
    foreign = min(foreign, foreignWanted)
  }

  private mutating func takeForeign() {
    guard condition == .up, foreign < foreignWanted else { return }
    foreign += min(foreignWanted - foreign, free)
  }

  /// Everything takes so many times as long from now on, or so many times less: also what is left of the work under way,
  /// which ends as is said here.
  mutating func slow(by factor: Double, at now: Instant) -> [Work] {
    slowness *= factor
    for index in work.indices {
      tickets += 1
      work[index].ticket = tickets
      work[index].ends = now + (work[index].ends - now).scaled(by: factor)
    }
    return work
  }
}
