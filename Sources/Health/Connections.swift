import CMicrohttpd
import Glibc
import PoolCore

/// The connections of one listener, and the rules of time and number that its clients are held to.
///
/// A connection is cut with `shutdown`, never `close`: the library owns the descriptor, sees the end and closes.
struct Connections {
  /// What a connection is doing, since when.
  enum Phase {
    /// A request is expected or on its way. → waiting, answering
    case arriving(since: Instant)
    /// Its answer is made elsewhere. → answering
    case waiting(ticket: UInt64)
    /// Its answer is being sent. → resting
    case answering(since: Instant)
    /// Between two requests; looked at next at `check`. → arriving, waiting, answering
    case resting(since: Instant, check: Instant)
    /// Shut down by us; the library has yet to notice.
    case cut

    var isCut: Bool { if case .cut = self { true } else { false } }
  }

  struct Connection {
    var descriptor: Int32
    var handle: OpaquePointer
    var phase: Phase
    /// What a waiting request is to be answered with.
    var answer: Response?
    /// Runs when the request is over.
    var afterwards: (@Sendable () -> Void)?

    var isCut: Bool { phase.isCut }
  }

  /// How long a client has been resting when we look whether it is gone.
  private static let lookAfter: Duration = .milliseconds(100)

  private let limits: ListenLimits
  private var slots: [Connection?] = []
  private var free: [Int] = []
  private(set) var count = 0
  private(set) var waitingCount = 0
  /// No limit passes before this moment; nil if there is nothing to look after.
  private(set) var nextSweep: Instant?

  init(limits: ListenLimits) { self.limits = limits }

  // MARK: - One connection

  /// Returns the number by which it is known from now on.
  mutating func add(descriptor: Int32, handle: OpaquePointer, at now: Instant) -> Int {
    let connection = Connection(descriptor: descriptor, handle: handle, phase: .arriving(since: now))
    count += 1
    sweep(by: now + limits.arrival)
    if let slot = free.popLast() {
      slots[slot] = connection
      return slot
    }
    slots.append(connection)
    return slots.count - 1
  }

  mutating func remove(_ slot: Int) -> Connection? {
    guard let connection = self[slot] else { return nil }
    setPhase(.cut, of: slot)
    slots[slot] = nil
    free.append(slot)
    count -= 1
    if count == 0 { nextSweep = nil }
    return connection
  }

  private(set) subscript(slot: Int) -> Connection? {
    get { slots.indices.contains(slot) ? slots[slot] : nil }
    // In place: a copy of a connection costs more than what is done to it.
    _modify {
      var nobody: Connection?
      if slots.indices.contains(slot) { yield &slots[slot] } else { yield &nobody }
    }
  }

  /// The request's head is here and its body has yet to come.
  mutating func beginArrival(_ slot: Int, at now: Instant) {
    guard case .resting? = phase(of: slot) else { return }
    setPhase(.arriving(since: now), of: slot)
    sweep(by: now + limits.arrival)
  }

  mutating func beginAnswer(_ slot: Int, at now: Instant) {
    setPhase(.answering(since: now), of: slot)
    sweep(by: now + limits.delivery)
  }

  mutating func beginWaiting(_ slot: Int, ticket: UInt64) {
    setPhase(.waiting(ticket: ticket), of: slot)
  }

  /// The request is over. Returns what is to run now.
  mutating func endRequest(_ slot: Int, at now: Instant) -> (@Sendable () -> Void)? {
    guard let phase = phase(of: slot) else { return nil }
    self[slot]?.answer = nil
    if !phase.isCut {
      // The library misses an end that came in together with the request: it reads as far as the request goes, and
      // epoll (edge-triggered) has nothing new to tell it afterwards. So we look, but not at once, which would be a
      // system call for every request: a client that keeps asking or is closed needs none.
      let check = now.tick(after: min(Self.lookAfter, limits.arrival, limits.rest))
      setPhase(.resting(since: now, check: check), of: slot)
      sweep(by: check)
    }
    return self[slot]?.afterwards.take()
  }

  mutating func setAfterwards(_ action: @escaping @Sendable () -> Void, of slot: Int) {
    self[slot]?.afterwards = action
  }

  /// The connection of a request that waits, so that it can be woken; nil if its client is gone or it has been
  /// answered already.
  mutating func answer(ticket: UInt64, in slot: Int, with response: Response) -> OpaquePointer? {
    guard let connection = self[slot], case .waiting(ticket) = connection.phase, connection.answer == nil
    else {
      return nil
    }
    self[slot]?.answer = response
    return connection.handle
  }

  private func phase(of slot: Int) -> Phase? { slots.indices.contains(slot) ? slots[slot]?.phase : nil }

  private mutating func setPhase(_ phase: Phase, of slot: Int) {
    guard let before = self.phase(of: slot) else { return }
    if case .waiting = before { waitingCount -= 1 }
    if case .waiting = phase { waitingCount += 1 }
    self[slot]?.phase = phase
  }

  // MARK: - All of them

  private mutating func sweep(by time: Instant) {
    nextSweep = min(nextSweep ?? time, time)
  }

  /// Cuts whoever has passed a limit at `now`, a moment since which the library has read everything, and finds the
  /// next moment to look.
  mutating func sweep(at now: Instant) {
    guard let due = nextSweep, due <= now else { return }
    nextSweep = nil
    for slot in slots.indices {
      guard let connection = slots[slot] else { continue }
      switch connection.phase {
      case .arriving(let since): cut(slot, by: since + limits.arrival, at: now)
      case .answering(let since): cut(slot, by: since + limits.delivery, at: now)
      case .resting(let since, let check) where check <= now:
        look(at: slot, restingSince: since, now: now)
      case .resting(_, let check): sweep(by: check)
      case .waiting, .cut: break
      }
    }
  }

  private mutating func cut(_ slot: Int, by deadline: Instant, at now: Instant) {
    if deadline <= now { cut(slot) } else { sweep(by: deadline) }
  }

  private mutating func cut(_ slot: Int) {
    guard let connection = self[slot], !connection.isCut else { return }
    shutdown(connection.descriptor, Int32(SHUT_RDWR))
    setPhase(.cut, of: slot)
  }

  /// The library does not tell when the first bytes of a further request come in; the kernel does. So a client
  /// that rests is told from one that dribbles, at the latest one arrival limit late.
  private mutating func look(at slot: Int, restingSince since: Instant, now: Instant) {
    guard let connection = self[slot] else { return }
    if isAtEnd(connection.descriptor) {
      cut(slot)
    } else if let received = lastReceived(connection.descriptor),
      received > since + .milliseconds(50)
    {
      setPhase(.arriving(since: received), of: slot)
      cut(slot, by: received + limits.arrival, at: now)
    } else if since + limits.rest <= now {
      cut(slot)
    } else {
      let check = min(now + limits.arrival, since + limits.rest)
      setPhase(.resting(since: since, check: check), of: slot)
      sweep(by: check)
    }
  }

  /// Makes room for new ones when there are too many: closes those that have been silent longest, some at once so
  /// that a crowd does not cost a search for each. Nobody who waits for an answer or reads one is closed.
  mutating func makeRoom() {
    guard count > limits.connections else { return }
    closeSilent(max(count - limits.connections, limits.connections / 32))
  }

  mutating func closeSilent(_ number: Int) {
    var silent: [(since: Instant, slot: Int)] = []
    for slot in slots.indices {
      switch slots[slot]?.phase {
      case .arriving(let since)?, .resting(let since, _)?: silent.append((since, slot))
      case .waiting?, .answering?, .cut?, nil: break
      }
    }
    silent.sort { $0.since < $1.since }
    for (_, slot) in silent.prefix(number) { cut(slot) }
  }

  /// Some request waits for its answer or is being answered.
  var isAnswering: Bool {
    slots.contains { connection in
      switch connection?.phase {
      case .waiting?, .answering?: true
      case .arriving?, .resting?, .cut?, nil: false
      }
    }
  }

  /// Every request that waits.
  var waiting: [(slot: Int, ticket: UInt64)] {
    slots.indices.compactMap { slot in
      if case .waiting(let ticket)? = slots[slot]?.phase { (slot, ticket) } else { nil }
    }
  }

  /// A request that waits although its client has closed (or at least will send nothing more).
  var abandoned: (slot: Int, ticket: UInt64)? {
    waiting.first { slot, _ in
      guard let connection = self[slot], connection.answer == nil else { return false }
      return isAtEnd(connection.descriptor)
    }
  }
}

extension Instant {
  /// Not before that much time has passed, and the same moment for all within a tenth of a second: a thousand
  /// clients are looked at together.
  fileprivate func tick(after pause: Duration) -> Instant {
    let tenth: Int64 = 100_000_000
    let due = (self + pause).nanoseconds
    return Instant(nanoseconds: due &+ (tenth &- due % tenth))
  }
}

/// The other side has closed, or will send nothing more, and everything it sent has been read.
private func isAtEnd(_ descriptor: Int32) -> Bool {
  var byte: UInt8 = 0
  let count = recv(descriptor, &byte, 1, Int32(MSG_PEEK | MSG_DONTWAIT))
  return count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)
}

/// When the last byte came in on a TCP connection, nil for a Unix socket (tcp(7), `TCP_INFO`).
private func lastReceived(_ descriptor: Int32) -> Instant? {
  var info = tcp_info()
  var length = socklen_t(MemoryLayout<tcp_info>.size)
  guard getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_INFO, &info, &length) == 0 else { return nil }
  return monotonicNow() - .milliseconds(Int64(info.tcpi_last_data_recv))
}
