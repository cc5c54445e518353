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

  let model: ServerModel
  private(set) var condition = Condition.up
  /// Counted up by every start: what was under way belongs to the run before, and never ends.
  private(set) var run: UInt32 = 0
  /// The fleet's sessions, including those whose client has gone and the network hides it.
  private(set) var sessions = 0
  /// Sessions of others.
  private(set) var foreign = 0
  /// So many others want; what they do not get at once they take as it comes free.
  private var foreignWanted = 0
  /// Logins that are being worked on.
  private(set) var busy = 0
  private var queue: [Login] = []
  private var head = 0
  private(set) var slowness = 1.0

  init(_ model: ServerModel) { self.model = model }

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

  /// The next login that a worker takes, and how long that will take; nil if there is none, or no worker is free.
  mutating func takeNext() -> (login: Login, takes: Duration)? {
    guard condition == .up, busy < model.workers, head < queue.count else { return nil }
    let login = queue[head]
    head += 1
    if head > 4096, head > queue.count / 2 {
      queue.removeFirst(head)
      head = 0
    }
    busy += 1
    return (login, model.cost(busy: busy).scaled(by: slowness))
  }

  /// A worker is done. `wanted`: there is a client who takes the session.
  mutating func finish(wanted: Bool) {
    busy -= 1
    if wanted { sessions += 1 }
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
    (sessions, foreign, busy) = (0, 0, 0)
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

  mutating func slow(by factor: Double) { slowness *= factor }
  mutating func recover(from factor: Double) { slowness /= factor }
}
