import Testing

@testable import PoolCore

/// Connections that have been idle are asked whether they still work before they are lent.
@Suite struct Checks {
  /// Ready, with idle connections that nobody has used for `idle`.
  static func pool(free: Int = 1, idle: Duration = .seconds(3)) -> VirtualPool {
    let pool = Queue.pool(free: free) { $0.probeInterval = .seconds(60) }
    pool.advance(by: idle)
    pool.clearLog()
    return pool
  }

  @Test(
    "a connection used within the last second is lent without a question, one idle for longer is asked first")
  func fresh() throws {
    let pool = Self.pool(idle: .milliseconds(1001))
    let lease = pool.acquire()
    let id = try #require(pool.verified.first)
    #expect(pool.state(lease) == .waiting)
    pool.advance(by: .milliseconds(1))
    #expect(pool.connection(of: lease) == id)
    pool.release(lease)
    pool.advance(by: .seconds(1))
    #expect(pool.connection(of: pool.acquire()) == id)
    #expect(pool.verified == [id])
  }

  @Test("a dead one is replaced within the caller's own deadline, and its siblings are asked at once")
  func dead() throws {
    let pool = Self.pool(free: 3)
    let (dead, siblings) = (try #require(pool.idle.last), pool.idle.dropLast())
    pool.server.queries[dead] = .ends(.closed)
    let lease = pool.acquire()
    pool.advance(by: .milliseconds(1))
    #expect(pool.closes.map(\.id) == [dead])
    #expect(pool.verified.first == dead)
    #expect(Set(pool.verified.dropFirst()) == Set(siblings))
    pool.advance(by: .milliseconds(5))
    #expect(pool.connection(of: lease) != nil)
  }

  @Test("a silent one costs its caller half a second, not its place, and a fresh connection replaces it")
  func silent() throws {
    let pool = Self.pool()
    let id = try #require(pool.idle.first)
    pool.server.queries[id] = .silent
    let first = pool.acquire()
    let second = pool.acquire()
    pool.advance(by: .milliseconds(499))
    #expect(pool.closes.isEmpty && pool.state(first) == .waiting)
    pool.advance(by: .milliseconds(101))
    #expect(pool.closes.map(\.reason) == [.silent])
    #expect(pool.connection(of: first) != nil)
    #expect(pool.state(second) == .waiting)
    #expect(!pool.lostReadiness)
  }

  @Test("a silent one has all of its siblings asked at once, and its silence alone does not speak for them")
  func silentSiblings() throws {
    let pool = Self.pool(free: 5)
    let silent = try #require(pool.idle.last)
    pool.server.queries[silent] = .silent
    let lease = pool.acquire()
    // One of them is lost meanwhile: they all are in doubt, the silent one too.
    pool.advance(by: .milliseconds(100))
    pool.end(try #require(pool.idle.first), .closed)
    pool.advance(by: .milliseconds(10))
    #expect(pool.connection(of: lease) != nil)
    pool.clearLog()
    pool.advance(by: .milliseconds(391))
    #expect(pool.closes.map(\.id) == [silent])
    #expect(pool.verified.count >= 3)
    pool.advance(by: .milliseconds(10))
    #expect(pool.snapshot.generation == 1)
  }

  @Test("a check takes no longer than a probe may")
  func shortProbe() throws {
    let pool = Queue.pool {
      $0.probeInterval = .seconds(60)
      $0.probeTimeout = .milliseconds(100)
    }
    pool.advance(by: .seconds(3))
    pool.server.queries[try #require(pool.idle.first)] = .silent
    pool.acquire()
    pool.clearLog()
    pool.advance(by: .milliseconds(100))
    #expect(pool.closes.map(\.reason) == [.silent])
  }

  @Test("beside one that was dead at its first statement, the next is asked first, however fresh it is")
  func unsure() throws {
    let pool = Self.pool(free: 3, idle: .zero)
    let lease = pool.acquire()
    pool.exchange(lease, .server("57P05", at: .idle))
    #expect(pool.state(lease) == .waiting && pool.verified.count == 1)
    pool.advance(by: .milliseconds(1))
    #expect(pool.connection(of: lease) == pool.verified.first)
  }

  @Test("a caller whose time is up, or that gives up, while its connection is asked, gets nothing")
  func gone() throws {
    let pool = Self.pool(free: 2)
    for id in pool.idle { pool.server.queries[id] = .silent }
    let hasty = pool.acquire(for: .milliseconds(100))
    let cancelled = pool.acquire()
    pool.abandon(cancelled)
    pool.advance(by: .milliseconds(100))
    #expect(pool.state(hasty) == .refused(.timedOut(waited: .milliseconds(100))))
    pool.server.heal()
    pool.advance(by: .seconds(5))
    #expect(pool.state(cancelled) == .abandoned)
    #expect(pool.holders.isEmpty)
    #expect(pool.open == 3)
  }

  @Test(
    "each waiting caller has one connection asked for it, whoever is answered first serves whoever came first"
  )
  func order() throws {
    let pool = Self.pool(free: 3)
    let slow = try #require(pool.idle.last)
    pool.server.queries[slow] = .silent
    let first = pool.acquire()
    let second = pool.acquire()
    #expect(pool.verified.count == 2)
    #expect(pool.idle.count == 1)
    pool.advance(by: .milliseconds(2))
    let quick = try #require(pool.connection(of: first))
    #expect(quick != slow)
    #expect(pool.state(second) == .waiting)
  }

  @Test("a caller without time is lent what is free as it is: there is no time to ask in")
  func noTime() {
    let pool = Self.pool()
    #expect(pool.connection(of: pool.acquire(for: .zero)) != nil)
    #expect(pool.verified.isEmpty)
  }

  @Test("with no room to wait, a connection that has to be asked first is none to wait for")
  func noRoom() {
    let pool = Queue.pool(free: 2) { $0.maxWaiting = 0 }
    pool.advance(by: .seconds(3))
    let leases = [pool.acquire(), pool.acquire()]
    #expect(pool.state(pool.acquire()) == .refused(.queueFull(limit: 0)))
    pool.advance(by: .milliseconds(2))
    #expect(leases.allSatisfy { pool.connection(of: $0) != nil })
  }

  @Test("no connection is opened for a caller while one is asked for it")
  func noLogin() {
    let pool = VirtualPool {
      $0.minConnections = 2
      $0.probeInterval = .seconds(60)
    }
    pool.advance(within: .seconds(5)) { $0.isReady && $0.idle.count == 1 }
    pool.advance(by: .seconds(3))
    pool.clearLog()
    let lease = pool.acquire()
    pool.advance(by: .milliseconds(10))
    #expect(pool.connection(of: lease) != nil)
    #expect(pool.attempts.isEmpty)
  }

  @Test("after a loss that may concern all, at most four are asked at once, and all of them in the end")
  func bounded() throws {
    let pool = Self.pool(free: 12)
    pool.end(try #require(pool.idle.first), .shutDown)
    #expect(pool.core.members.verifying == 4)
    var most = 0
    while pool.verified.count < 11, pool.elapsed < .seconds(30) {
      pool.step()
      most = max(most, pool.core.members.verifying)
    }
    #expect(Set(pool.verified).count == 11)
    #expect(most == 4)
  }

  @Test("a connection that is in doubt is not lent before it has answered, however fresh it is")
  func doubt() throws {
    let pool = Self.pool(free: 12, idle: .zero)
    pool.end(try #require(pool.idle.first), .shutDown)
    let lease = pool.acquire()
    #expect(pool.state(lease) == .waiting)
    pool.advance(by: .milliseconds(1))
    let id = try #require(pool.connection(of: lease))
    #expect(pool.verified.contains(id))
  }

  @Test("a termination with a caller whose connection is being asked is not one without traffic")
  func termination() {
    let pool = Queue.pool()
    pool.advance(by: .seconds(10))
    let lease = pool.acquire()
    pool.terminate()
    pool.advance(by: .milliseconds(5))
    #expect(pool.connection(of: lease) != nil)
  }
}
