import Testing

@testable import PoolCore

/// Callers are refused at once while there is no connection and attempts to get one keep failing.
@Suite struct BreakerRules {
  private func breakers(_ pool: VirtualPool) -> [BreakerReport.State] {
    pool.log.compactMap { if case .breaker(let report, _) = $0.effect { report.state } else { nil } }
  }

  private func lost() -> VirtualPool {
    let pool = Losses.ready()
    pool.server.refuse(.refused)
    pool.endAll(.closed)
    return pool
  }

  @Test("it opens after five failures in a row over at least five seconds, and no sooner")
  func opens() throws {
    let pool = lost()
    let patient = pool.acquire(for: .seconds(60))
    #expect(pool.state(patient) == .waiting)
    pool.advance(within: .seconds(60)) { $0.snapshot.breaker.state != .closed }
    #expect(pool.core.breaker.failures >= 5)
    let first = try #require(pool.attempts.first)
    #expect(pool.now - first >= .seconds(5))
    // Who waits is refused with it, with the cause.
    guard case .refused(.circuitOpen(because: let cause, nextAttempt: _)) = pool.state(patient) else {
      Issue.record("not refused: \(String(describing: pool.state(patient)))")
      return
    }
    #expect(cause == .refused)
    #expect(pool.snapshot.breaker.because == .refused)
  }

  @Test("while it is open or half-open, callers are refused at once; the scout's pace stays what it was")
  func refuses() {
    let pool = lost()
    pool.advance(by: .seconds(60))
    var refused = 0
    for _ in 0..<200 {
      pool.advance(by: .milliseconds(50))
      if case .refused(.circuitOpen) = pool.state(pool.acquire()) { refused += 1 }
    }
    #expect(refused == 200)
    #expect(pool.snapshot.counters.acquireFailures["circuit_open"] == 200)
    #expect(Set(breakers(pool)) == [.open, .halfOpen])
  }

  @Test(
    "four failures are not enough, however long they take, and those before an answered probe do not count")
  func counts() {
    var breaker = Breaker(at: .origin)
    for second in 0..<4 { breaker.loginFailed(at: .origin + .seconds(10 * second)) }
    #expect(!breaker.isDue(at: .origin + .seconds(60)))
    breaker.loginFailed(at: .origin + .seconds(60))
    #expect(breaker.isDue(at: .origin + .seconds(60)))
    breaker.probeAnswered()
    for _ in 0..<5 { breaker.loginFailed(at: .origin + .seconds(100)) }
    #expect(!breaker.isDue(at: .origin + .milliseconds(104_999)))
    #expect(breaker.isDue(at: .origin + .seconds(105)))
  }

  @Test("a refusal says when the next attempt is due, and that one is under way; also where nobody may wait")
  func nextAttempt() throws {
    let pool = Losses.ready {
      $0.minConnections = 5
      $0.maxWaiting = 0
    }
    pool.server.refuse(.refused)
    pool.server.loginLatency = .milliseconds(50)
    pool.endAll(.closed)
    pool.advance(by: .seconds(60))
    func next() -> Duration?? {
      guard case .refused(.circuitOpen(because: _, let next)) = pool.state(pool.acquire()) else { return nil }
      return .some(next)
    }
    pool.advance(within: .seconds(10)) { $0.snapshot.breaker.state == .open && !$0.attempts.isEmpty }
    let answer = try #require(next())
    let due = try #require(answer)
    let before = pool.attempts.count
    let waited = pool.advance(within: .seconds(60)) { $0.attempts.count > before }
    #expect(waited == due)
    #expect(pool.snapshot.breaker.state == .halfOpen)
    let underWay = try #require(next())
    #expect(underWay == nil)
  }

  @Test("one login that works is not enough: an answered probe closes it")
  func closes() throws {
    let pool = lost()
    pool.advance(by: .seconds(60))
    pool.server.heal()
    pool.server.probe = .silent
    pool.advance(within: .seconds(60)) { $0.open > 0 }
    #expect(pool.snapshot.breaker.state == .halfOpen)
    pool.server.probe = .answers
    pool.advance(within: .seconds(60)) { $0.snapshot.breaker.state == .closed }
    #expect(pool.core.probe.isProven)
    let lease = pool.acquire()
    pool.advance(by: .seconds(1))
    #expect(pool.connection(of: lease) != nil)
    #expect(pool.snapshot.breaker.because == nil)
  }

  @Test("sessions of a pooler that never answer open it too, though every login works")
  func pooler() {
    let pool = Losses.ready()
    pool.server.probe = .ends(.closed)
    pool.endAll(.closed)
    #expect(pool.advance(within: .seconds(120)) { $0.snapshot.breaker.state != .closed } != nil)
  }

  @Test("it never opens while a connection works, however many logins fail")
  func working() {
    let pool = Losses.ready()
    let lease = pool.acquire()
    pool.server.refuse(.full)
    for id in pool.sessions.keys.sorted() where pool.holders[id] == nil {
      pool.end(id, .server("57P05", at: .idle))
    }
    pool.advance(by: .seconds(600))
    #expect(pool.core.breaker.failures > 5)
    #expect(breakers(pool).isEmpty)
    #expect(pool.connection(of: lease) != nil)
  }

  @Test("a drain closes it, and a resume begins with it closed")
  func drain() {
    let pool = lost()
    pool.advance(by: .seconds(60))
    pool.drain(for: .seconds(6))
    pool.advance(by: .seconds(10))
    #expect(pool.phase == .drained)
    #expect(pool.snapshot.breaker.state == .closed)
    pool.send(.resume)
    #expect(pool.state(pool.acquire()) == .waiting)
  }
}
