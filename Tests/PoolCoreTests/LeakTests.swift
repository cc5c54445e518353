import Testing

@testable import PoolCore

/// Leases that are held too long.
@Suite struct Leaks {
  private func reports(_ pool: VirtualPool) -> [String] {
    pool.log.compactMap {
      switch $0.effect {
      case .leaked(let lease, _, let held): "\(lease) held \(held.inTenths)"
      case .leakReturned(let lease, _, let held): "\(lease) back after \(held.inTenths)"
      default: nil
      }
    }
  }

  @Test("a lease held longer than leak-after is reported once, and again when it comes back; never closed")
  func once() {
    let pool = Queue.pool()
    let lease = pool.acquire()
    pool.advance(by: .milliseconds(29_900))
    #expect(reports(pool).isEmpty)
    pool.advance(by: .seconds(170))
    #expect(reports(pool) == ["\(lease) held 30.0s"])
    #expect(pool.snapshot.leaks.map(\.lease) == [lease])
    #expect(pool.connection(of: lease) != nil)
    pool.release(lease)
    #expect(reports(pool).last == "\(lease) back after 199.9s")
    #expect(reports(pool).count == 2)
    #expect(pool.snapshot.leaks.isEmpty)
    #expect(pool.snapshot.counters.leaks == 1)
  }

  @Test("each is reported at its own time")
  func each() {
    let pool = Queue.pool(free: 3)
    let first = pool.acquire()
    pool.advance(by: .milliseconds(900))
    let short = pool.acquire()
    let second = pool.acquire()
    pool.advance(by: .seconds(20))
    pool.release(short)
    pool.advance(by: .milliseconds(9_100))
    #expect(reports(pool) == ["\(first) held 30.0s"])
    pool.advance(by: .milliseconds(900))
    #expect(reports(pool) == ["\(first) held 30.0s", "\(second) held 30.0s"])
  }

  @Test("a lease that the deadline of a drain cuts off is no longer held")
  func cutOff() {
    let pool = Queue.pool()
    let lease = pool.acquire()
    pool.advance(by: .seconds(40))
    pool.drain(for: .seconds(10))
    pool.advance(by: .seconds(10))
    #expect(reports(pool) == ["\(lease) held 30.0s", "\(lease) back after 50.0s"])
    #expect(pool.snapshot.leaks.isEmpty)
  }

  @Test(
    "a lease that is exchanged for another connection is no longer held: what it holds then is counted anew")
  func exchanged() {
    let pool = Queue.pool(free: 2)
    let lease = pool.acquire()
    pool.advance(by: .seconds(40))
    pool.exchange(lease)
    pool.advance(by: .seconds(1))
    #expect(pool.connection(of: lease) != nil)
    #expect(reports(pool) == ["\(lease) held 30.0s", "\(lease) back after 40.0s"])
    #expect(pool.snapshot.leaks.isEmpty)
  }

  @Test("leases that come and go in time wake nobody more than once in leak-after")
  func cheap() {
    let pool = Queue.pool { $0.probeInterval = .seconds(60) }
    for _ in 0..<1000 {
      let lease = pool.acquire()
      pool.advance(by: .milliseconds(10))
      pool.release(lease)
    }
    #expect(pool.core.alarms.leak != nil)
    #expect(reports(pool).isEmpty)
  }
}
