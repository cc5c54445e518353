import Testing

@testable import PoolCore

@Suite struct Queue {
  /// Ready, with `free` connections to lend and no room for more.
  static func pool(free: Int = 1, _ change: (inout PoolSettings) -> Void = { _ in }) -> VirtualPool {
    let pool = VirtualPool {
      $0.minConnections = free + 1
      $0.maxConnections = free + 1
      change(&$0)
    }
    pool.advance(within: .seconds(5)) { $0.isReady && $0.idle.count == free }
    pool.clearLog()
    return pool
  }

  @Test("a free connection is granted at once, the one used last first")
  func immediate() throws {
    let pool = Self.pool(free: 3)
    let used = try #require(pool.idle.last)
    #expect(pool.state(pool.acquire()) == .granted(used))
    let lease = pool.acquire()
    let second = try #require(pool.connection(of: lease))
    pool.release(lease)
    #expect(pool.state(pool.acquire()) == .granted(second))
  }

  @Test("callers are served in the order in which they came")
  func fifo() {
    let pool = Self.pool()
    var holder = pool.acquire()
    let waiting = (0..<4).map { _ in pool.acquire() }
    for next in waiting {
      pool.release(holder)
      #expect(pool.connection(of: next) != nil)
      holder = next
    }
  }

  @Test("nobody can take a connection ahead of those who wait")
  func noBarging() {
    let pool = Self.pool()
    let holder = pool.acquire()
    let waiting = pool.acquire()
    pool.release(holder)
    let late = pool.acquire()
    #expect(pool.connection(of: waiting) != nil)
    #expect(pool.state(late) == .waiting)
  }

  @Test("a caller is refused at its own deadline, with how long it waited")
  func deadline() {
    let pool = Self.pool()
    pool.acquire()
    let patient = pool.acquire(for: .seconds(3))
    let hasty = pool.acquire(for: .milliseconds(500))
    pool.advance(by: .seconds(1))
    #expect(pool.state(hasty) == .refused(.timedOut(waited: .milliseconds(500))))
    #expect(pool.state(patient) == .waiting)
    pool.advance(by: .seconds(5))
    #expect(pool.state(patient) == .refused(.timedOut(waited: .seconds(3))))
    #expect(pool.snapshot.counters.acquireFailures == ["timed_out": 2])
  }

  @Test("a caller that timed out is never granted, even if its connection comes free before the wake does")
  func expiredIsNeverGranted() {
    let pool = Self.pool()
    let holder = pool.acquire(for: .seconds(9))
    let hasty = pool.acquire(for: .milliseconds(500))
    let patient = pool.acquire(for: .seconds(3))
    // The loop was late: the release is handled before the wake that was due.
    pool.skip(.milliseconds(500))
    pool.release(holder)
    #expect(pool.state(hasty) == .refused(.timedOut(waited: .milliseconds(500))))
    #expect(pool.connection(of: patient) != nil)
  }

  @Test("a caller without time is served if a connection is free, and refused at once otherwise")
  func noPatience() {
    let pool = Self.pool()
    let lucky = pool.acquire(for: .zero)
    #expect(pool.connection(of: lucky) != nil)
    #expect(pool.state(pool.acquire(for: .zero)) == .refused(.timedOut(waited: .zero)))
    #expect(pool.state(pool.acquire(for: .seconds(-1))) == .refused(.timedOut(waited: .zero)))
  }

  @Test("as many may wait as the bound says; one more is refused at once")
  func bound() {
    let pool = Self.pool { $0.maxWaiting = 3 }
    pool.acquire()
    let waiting = (0..<3).map { _ in pool.acquire() }
    #expect(waiting.allSatisfy { pool.state($0) == .waiting })
    let tooMany = pool.acquire()
    #expect(pool.state(tooMany) == .refused(.queueFull(limit: 3)))
    pool.abandon(waiting[1])
    #expect(pool.state(pool.acquire()) == .waiting)
  }

  @Test("the bound is four times the ceiling unless it is set")
  func defaultBound() {
    let pool = Self.pool(free: 2)
    for _ in 0..<2 { pool.acquire() }
    for _ in 0..<12 { #expect(pool.state(pool.acquire()) == .waiting) }
    #expect(pool.state(pool.acquire()) == .refused(.queueFull(limit: 12)))
  }

  @Test("a caller that gave up is skipped, and giving up what was granted or refused changes nothing")
  func abandon() {
    let pool = Self.pool()
    let holder = pool.acquire()
    let gone = pool.acquire()
    let next = pool.acquire()
    pool.abandon(gone)
    pool.abandon(gone)
    pool.abandon(holder)
    pool.abandon(LeaseID(4711))
    pool.release(holder)
    #expect(pool.connection(of: next) != nil)
    #expect(pool.snapshot.pool.leased == 1)
    #expect(pool.snapshot.pool.waiting == 0)
  }

  @Test("giving up at the very deadline is not a refusal")
  func abandonAtDeadline() {
    let pool = Self.pool()
    pool.acquire(for: .seconds(9))
    let lease = pool.acquire(for: .seconds(1))
    pool.skip(.seconds(1))
    pool.abandon(lease)
    #expect(pool.state(lease) == .abandoned)
    #expect(pool.snapshot.counters.acquireFailures == [:])
  }

  @Test("the snapshot tells how many wait and how long the first of them has")
  func waiting() {
    let pool = Self.pool()
    pool.acquire(for: .seconds(9))
    let first = pool.acquire(for: .seconds(9))
    pool.advance(by: .seconds(1))
    pool.acquire(for: .seconds(9))
    pool.advance(by: .seconds(1))
    #expect(pool.snapshot.pool.waiting == 2)
    #expect(pool.snapshot.pool.longestWait == .seconds(2))
    pool.abandon(first)
    #expect(pool.snapshot.pool.longestWait == .seconds(1))
  }

  @Test("the pool grows for callers that wait, up to its ceiling")
  func growth() {
    let pool = VirtualPool()
    pool.advance(by: .seconds(1))
    let leases = (0..<12).map { _ in pool.acquire(for: .seconds(9)) }
    pool.advance(by: .seconds(1))
    #expect(pool.open == 10)
    #expect(leases.filter { pool.connection(of: $0) != nil }.count == 9)
    #expect(pool.snapshot.pool.waiting == 3)
  }

  @Test("an hour of callers that time out leaves nothing behind")
  func boundedMemory() {
    let pool = Self.pool { $0.maxWaiting = 100 }
    pool.keepsLog = false
    pool.acquire(for: .seconds(9))
    for _ in 0..<20_000 {
      pool.acquire(for: .milliseconds(50))
      pool.advance(by: .milliseconds(2))
    }
    #expect(pool.core.queue.count <= 26)
    #expect(pool.core.queue.footprint < 500)
  }

  @Test("callers that come and give up, or are served, leave nothing behind either")
  func boundedMemoryInGeneral() {
    var queue = WaitQueue()
    var random = RandomSource(seed: 7)
    var now = Instant.origin
    var ids: [LeaseID] = []
    for number in 0..<50_000 {
      now = now + .milliseconds(1)
      queue.add(
        LeaseID(UInt64(number)), deadline: now + random.duration(from: .zero, to: .seconds(1)), at: now)
      ids.append(LeaseID(UInt64(number)))
      while ids.count > 50 {
        switch random.next() % 3 {
        case 0: _ = queue.cancel(ids.remove(at: Int(random.next() % UInt64(ids.count))))
        case 1: if let (id, _) = queue.next() { ids.removeAll { $0 == id } }
        default:
          if let id = queue.expired(at: now)?.0 ?? queue.next()?.0 { ids.removeAll { $0 == id } }
        }
      }
      #expect(queue.count == ids.count)
    }
    #expect(queue.footprint < 1000)
  }
}
