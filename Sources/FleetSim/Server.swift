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

  /// What a worker has in hand.
  enum Job {
    case login(Login)
    /// An instance starts, on a machine that it shares with the server.
    case start(seat: Int32)

    var login: Login? { if case .login(let login) = self { login } else { nil } }
  }

  struct Work {
    var job: Job
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
  /// Instances that wait for a worker to start.
  private var starts: [Int32] = []
  private var tookStart = false
  private var queue: [Login] = []
  private var head = 0
  private(set) var slowness = 1.0

  init(_ model: ServerModel) { self.model = model }

  /// Logins that are being worked on.
  var busy: Int { work.count { $0.job.login != nil } }
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

  /// An instance starts on the server's own machine.
  mutating func start(seat: Int32) { starts.append(seat) }

  /// What a worker takes next; nil if there is nothing, or no worker is free.
  mutating func takeNext(at now: Instant) -> Work? {
    guard work.count < model.workers else { return nil }
    let (job, takes): (Job, Duration)
    let hasLogin = condition == .up && head < queue.count
    // The processors are shared fairly.
    if !starts.isEmpty, !hasLogin || !tookStart {
      (job, takes) = (.start(seat: starts.removeFirst()), model.startCost)
      tookStart = true
    } else if hasLogin {
      (job, takes) = (.login(queue[head]), model.cost(busy: work.count + 1).scaled(by: slowness))
      tookStart = false
      head += 1
    } else {
      return nil
    }
    if head > 4096, head > queue.count / 2 {
      queue.removeFirst(head)
      head = 0
    }
    tickets += 1
    work.append(Work(job: job, ticket: tickets, ends: now + takes))
    return work.last
  }

  /// A worker is done with this. A login still has its slot: `settle` follows. Nil if the work was ended before, or ends
  /// at another time.
  func done(_ ticket: UInt32) -> Job? { work.first { $0.ticket == ticket }?.job }

  /// An instance has started.
  mutating func started(_ ticket: UInt32) { work.removeAll { $0.ticket == ticket } }

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
    work.removeAll { $0.job.login != nil }
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
    for index in work.indices where work[index].job.login != nil {
      tickets += 1
      work[index].ticket = tickets
      work[index].ends = now + (work[index].ends - now).scaled(by: factor)
    }
    return work.filter { $0.job.login != nil }
  }
}
