import Testing

@testable import PoolCore

/// A lease whose connection is dead before its first statement was sent.
@Suite struct Exchanges {
  @Test("the lease gets another connection, ahead of those who wait")
  func ahead() throws {
    let pool = Queue.pool()
    let holder = pool.acquire()
    let dead = try #require(pool.connection(of: holder))
    let waiting = pool.acquire()
    pool.exchange(holder)
    #expect(pool.closes.map(\.id) == [dead])
    pool.advance(by: .seconds(1))
    let fresh = try #require(pool.connection(of: holder))
    #expect(fresh != dead)
    #expect(pool.state(waiting) == .waiting)
    #expect(pool.snapshot.counters.exchanges == 1)
    pool.release(holder)
    #expect(pool.connection(of: waiting) == fresh)
  }

  @Test("an idle connection is asked before the lease gets it")
  func verified() throws {
    let pool = Queue.pool(free: 3)
    let holder = pool.acquire()
    pool.exchange(holder)
    #expect(pool.verified.count == 2)
    #expect(pool.state(holder) == .waiting)
    pool.advance(within: .seconds(1)) { $0.connection(of: holder) != nil }
    let second = try #require(pool.connection(of: holder))
    #expect(pool.verified.contains(second))
  }

  @Test("without another connection in time the lease is refused, and its connection is closed all the same")
  func refused() {
    let pool = Queue.pool()
    let holder = pool.acquire()
    pool.server.login = .silent
    pool.exchange(holder, for: .milliseconds(300))
    pool.advance(by: .milliseconds(300))
    #expect(pool.state(holder) == .refused(.timedOut(waited: .milliseconds(300))))
    #expect(pool.closes.count == 1)
    #expect(pool.holders.isEmpty)
  }

  @Test("while a drain is closing, the lease is refused and counts as finished")
  func closing() throws {
    let pool = Queue.pool { $0.drainDelay = .zero }
    let holder = pool.acquire()
    pool.drain(for: .seconds(20))
    pool.advance(within: .seconds(5)) { $0.snapshot.drain?.stage == .closing }
    pool.exchange(holder)
    #expect(pool.state(holder) == .refused(.draining))
    pool.advance(by: .zero)
    let progress = try #require(pool.drains.last)
    #expect(progress.inUse == 1 && progress.finished == 1 && progress.cut == 0)
  }

  @Test("during lame duck the lease gets another one")
  func lameDuck() {
    let pool = Queue.pool { $0.drainDelay = .seconds(5) }
    let holder = pool.acquire()
    pool.drain(for: .seconds(20))
    pool.exchange(holder)
    pool.advance(by: .seconds(1))
    #expect(pool.connection(of: holder) != nil)
  }

  @Test("a caller that is cancelled meanwhile is given nothing")
  func cancelled() {
    let pool = Queue.pool()
    let holder = pool.acquire()
    pool.exchange(holder)
    pool.abandon(holder)
    pool.advance(by: .seconds(1))
    #expect(pool.state(holder) == .abandoned)
    #expect(pool.holders.isEmpty && pool.idle.count == 1)
  }
}
