import Testing

@testable import PoolCore

@Suite struct Draining {
  /// Ready for a minute, with delay 5 s and 25 s in all.
  static func ready(_ change: (inout PoolSettings) -> Void = { $0.minConnections = 3 }) -> VirtualPool {
    let pool = VirtualPool(seed: 1, change)
    pool.advance(by: .seconds(60))
    // A connection that has just answered its keep-alive is lent without a question.
    pool.advance(within: .seconds(60)) { pool in
      pool.idle.last.map { pool.core.isFresh($0, at: pool.now) } ?? false
    }
    #expect(pool.isReady)
    pool.clearLog()
    return pool
  }

  private func stage(_ pool: VirtualPool) -> DrainProgress.Stage? { pool.snapshot.drain?.stage }

  // MARK: - Lame duck

  @Test("a drain takes readiness at once, and everything else goes on as usual for the delay")
  func lameDuck() throws {
    let pool = Self.ready()
    pool.drain()
    #expect(!pool.isReady)
    #expect(pool.phase == .draining)
    #expect(pool.reasons == [.draining])
    #expect(pool.closes.isEmpty)
    #expect(stage(pool) == .lameDuck)
    let lease = pool.acquire()
    #expect(pool.connection(of: lease) != nil)
    pool.release(lease)
    #expect(pool.closes.isEmpty)
    let took = try #require(pool.advance(within: .seconds(10)) { stage($0) != .lameDuck })
    #expect(took == .seconds(5))
  }

  @Test("in the lame duck phase waiters are served, lost connections replaced, and the probe asked")
  func lameDuckServes() {
    let pool = Self.ready {
      $0.minConnections = 2
      $0.maxConnections = 2
    }
    let holder = pool.acquire()
    let waiter = pool.acquire()
    pool.drain()
    pool.release(holder)
    #expect(pool.connection(of: waiter) != nil)
    pool.release(waiter)
    pool.end(pool.idle[0], .server("57P05", at: .idle))
    pool.advance(by: .seconds(1))
    #expect(pool.open == 2)
  }

  @Test("it lasts until no lease was taken for a second, at most until 5 s before the deadline")
  func quietSecond() throws {
    let pool = Self.ready()
    pool.drain()
    let began = pool.now
    // Traffic goes on for 12 s.
    while pool.now - began < .seconds(12) {
      pool.release(pool.acquire())
      pool.advance(by: .milliseconds(400))
    }
    #expect(stage(pool) == .lameDuck)
    let last = pool.core.lastLease
    pool.advance(within: .seconds(5)) { stage($0) != .lameDuck }
    #expect(pool.now == last.map { $0 + .seconds(1) })

    let busy = Self.ready()
    busy.drain()
    let start = busy.now
    while stage(busy) == .lameDuck {
      busy.release(busy.acquire())
      busy.advance(by: .milliseconds(100))
    }
    #expect(busy.now - start == .seconds(20))
  }

  @Test("a deadline that leaves no room for both still gives the delay")
  func shortDeadline() throws {
    let pool = Self.ready()
    pool.drain(for: .seconds(7))
    let took = try #require(pool.advance(within: .seconds(10)) { stage($0) != .lameDuck })
    #expect(took == .seconds(5))
    let other = Self.ready()
    other.drain(for: .seconds(3))
    let lease = other.acquire()
    #expect(other.connection(of: lease) != nil)
    #expect(other.advance(within: .seconds(10)) { $0.phase == .drained } == .seconds(3))
    #expect(other.drains.first?.cut == 1)
  }

  // MARK: - Closing

  @Test("closing refuses callers and waiters with `draining`, closes what is free, and lets leases finish")
  func closing() throws {
    let pool = Self.ready {
      $0.minConnections = 3
      $0.maxConnections = 3
    }
    let (a, b) = (pool.acquire(), pool.acquire())
    let waiters = [pool.acquire(for: .seconds(60)), pool.acquire(for: .seconds(60))]
    pool.drain()
    pool.advance(by: .seconds(5))
    #expect(stage(pool) == .closing)
    for waiter in waiters { #expect(pool.state(waiter) == .refused(.draining)) }
    #expect(pool.state(pool.acquire()) == .refused(.draining))
    #expect(pool.open == 2)
    #expect(pool.closes.map(\.reason) == [.drain])
    pool.advance(by: .seconds(3))
    pool.release(a)
    #expect(pool.phase == .draining)
    pool.release(b, reusable: false, .closed)
    #expect(pool.phase == .drained)
    let progress = try #require(pool.drains.first)
    #expect(pool.drains.count == 1)
    #expect(progress.stage == .done)
    #expect(progress.inUse == 2 && progress.finished == 2 && progress.cut == 0)
    #expect(progress.refused == 2)
    #expect(progress.closed == 3)
    #expect(progress.ended == pool.now)
    #expect(pool.reasons == [.drained])
    #expect(pool.core.nextWake == nil)
  }

  @Test("leases in use at the deadline are cut off, and the counts say how many")
  func deadline() throws {
    let pool = Self.ready()
    let leases = [pool.acquire(), pool.acquire()]
    pool.drain()
    pool.advance(by: .seconds(10))
    pool.release(leases[0])
    let took = try #require(pool.advance(within: .seconds(30)) { $0.phase == .drained })
    #expect(took == .seconds(15))
    let progress = try #require(pool.drains.first)
    #expect((progress.inUse, progress.finished, progress.cut) == (2, 1, 1))
    let cut = try #require(pool.closes.last)
    #expect(pool.state(leases[1]) == .cutOff)
    #expect(cut.reason == .cutOff)
    // The caller gives it back later: too late to matter.
    pool.send(.release(leases[1], cut.id, reusable: true, nil))
    #expect(pool.phase == .drained)
  }

  @Test("logins under way when closing begins get 500 ms, and are given up after that")
  func loginGrace() throws {
    for latency in [Duration.milliseconds(300), .milliseconds(800)] {
      let pool = Self.ready()
      pool.drain()
      pool.advance(by: .milliseconds(4900))
      pool.server.loginLatency = latency + .milliseconds(100)
      pool.end(pool.idle[0], .server("57P05", at: .idle))
      #expect(pool.connecting.count == 1)
      let took = try #require(pool.advance(within: .seconds(5)) { $0.phase == .drained })
      #expect(took == .milliseconds(100) + min(latency, .milliseconds(500)))
      let givenUp = pool.times { if case .abandonLogin = $0 { true } else { false } }
      #expect(givenUp.count == (latency > .milliseconds(500) ? 1 : 0))
    }
  }

  @Test(
    "a question under way when closing begins gets 500 ms for its answer, and its connection is closed after that"
  )
  func closingGrace() throws {
    for answers in [true, false] {
      let pool = Self.ready()
      pool.advance(by: .seconds(30))
      pool.server.queryLatency = .milliseconds(200)
      if !answers { pool.server.hang() }
      _ = try #require(pool.advance(within: .seconds(30)) { $0.core.probe.asked != nil })
      let probe = try #require(pool.core.probe.connection)
      pool.terminate()
      pool.advance(by: .milliseconds(1))
      #expect(pool.sessions.keys.contains(probe))
      let took = try #require(pool.advance(within: .seconds(5)) { $0.phase == .drained })
      #expect(took == .milliseconds(answers ? 199 : 499))
      #expect(pool.closes.last?.id == probe)
      #expect(pool.closes.last?.reason == .drain)
      #expect(pool.drains.first?.cut == 0)
    }
  }

  @Test("a drain before the first login, or during a hanging one, ends in time")
  func early() throws {
    let splaying = VirtualPool { $0.splay = .seconds(600) }
    splaying.terminate()
    #expect(splaying.phase == .drained)
    var server = VirtualServer()
    server.hang()
    let hanging = VirtualPool(server: server)
    hanging.advance(by: .seconds(1))
    hanging.terminate()
    #expect(hanging.advance(within: .milliseconds(500)) { $0.phase == .drained } != nil)
    let unbegun = VirtualPool(begun: false)
    unbegun.terminate()
    #expect(unbegun.phase == .drained)
    unbegun.send(.begin)
    #expect(unbegun.attempts.isEmpty)
  }

  // MARK: - Who asks

  @Test(
    "it goes on serving until whoever asks has heard of it: no less than the delay, until 5 s before its deadline"
  )
  func probers() throws {
    func drained(toldAfter time: Duration?, terminated: Bool = false, used: Bool = false) throws -> Duration {
      let pool = VirtualPool(seed: 1, waitsForProbers: true)
      pool.advance(by: .seconds(60))
      if used {
        let lease = pool.acquire()
        pool.advance(by: .milliseconds(10))
        pool.release(lease)
      }
      if terminated { pool.terminate() } else { pool.drain() }
      let began = pool.now
      if let time {
        pool.advance(by: time)
        pool.send(.probersTold)
      }
      _ = try #require(pool.advance(within: .seconds(30)) { $0.phase == .drained })
      return pool.now - began
    }
    let queries = VirtualServer().queryLatency
    func about(_ time: Duration) -> ClosedRange<Duration> { time...(time + queries) }
    #expect(about(.seconds(12)).contains(try drained(toldAfter: .seconds(12))))
    #expect(about(.seconds(5)).contains(try drained(toldAfter: .seconds(1))))
    #expect(about(.seconds(20)).contains(try drained(toldAfter: nil)))
    // Whoever ends the process of an instance that nobody uses has no time for that.
    #expect(about(.zero).contains(try drained(toldAfter: nil, terminated: true)))
    #expect(about(.seconds(20)).contains(try drained(toldAfter: nil, terminated: true, used: true)))
  }

  // MARK: - Joining

  @Test("a second drain joins the first: it can bring the deadline forward, never back")
  func joining() throws {
    let pool = Self.ready()
    pool.acquire()
    pool.drain(for: .seconds(20))
    pool.advance(by: .seconds(6))
    pool.drain(for: .seconds(60))
    #expect(pool.snapshot.drain?.deadline == pool.now + .seconds(14))
    pool.drain(for: .seconds(2))
    #expect(pool.snapshot.drain?.deadline == pool.now + .seconds(2))
    pool.drain(for: .seconds(-5))
    #expect(pool.phase == .drained)
    #expect(pool.drains.count == 1)
    pool.drain()
    #expect(pool.drains.count == 2)
    #expect(pool.drains[0] == pool.drains[1])
  }

  // MARK: - Terminating

  @Test("a termination skips the delay when no lease was taken in the last 5 s, and not otherwise")
  func terminate() throws {
    let unused = Self.ready()
    unused.terminate()
    unused.advance(by: unused.server.queryLatency)
    #expect(unused.phase == .drained)
    let used = Self.ready()
    used.release(used.acquire())
    used.advance(by: .milliseconds(4900))
    used.terminate()
    #expect(stage(used) == .lameDuck)
    #expect(used.advance(within: .seconds(9)) { $0.phase == .drained } == .seconds(5))
    let before = Self.ready()
    before.release(before.acquire())
    before.advance(by: .seconds(5))
    before.terminate()
    before.advance(by: before.server.queryLatency)
    #expect(before.phase == .drained)
  }

  @Test("a termination in the lame duck phase of a drain ends the delay when the instance is unused")
  func terminateInLameDuck() {
    let pool = Self.ready()
    pool.drain()
    pool.advance(by: .seconds(1))
    pool.terminate()
    pool.advance(by: pool.server.queryLatency)
    #expect(pool.phase == .drained)
  }

  @Test("a termination waits for leases in use, however long ago they were taken, until its deadline")
  func terminateWaits() throws {
    let pool = Self.ready()
    let lease = pool.acquire()
    pool.advance(by: .seconds(10))
    pool.terminate(for: .seconds(8))
    #expect(stage(pool) == .closing)
    pool.advance(by: .seconds(3))
    pool.release(lease)
    #expect(pool.phase == .drained)
    #expect(pool.drains.first?.finished == 1)
  }

  @Test("a termination of a drained instance answers at once")
  func terminateDrained() {
    let pool = Self.ready()
    pool.drain()
    pool.advance(by: .seconds(6))
    pool.clearLog()
    pool.terminate()
    #expect(pool.drains.count == 1)
  }

  // MARK: - Resuming

  private func has(_ pool: VirtualPool, _ matches: (Effect) -> Bool) -> Bool { !pool.times(matches).isEmpty }
  private func tookBack(_ effect: Effect) -> Bool { if case .drainTakenBack = effect { true } else { false } }
  private func resumed(_ effect: Effect) -> Bool { if case .resumed = effect { true } else { false } }
  private func refused(_ effect: Effect) -> Bool { if case .resumeRefused = effect { true } else { false } }

  @Test(
    "a resume from the lame duck phase is ready again once the probe answers, with the connections it has")
  func resumeFromLameDuck() {
    let pool = Self.ready()
    let sessions = Set(pool.sessions.keys)
    pool.drain()
    pool.advance(by: .seconds(3))
    pool.send(.resume)
    #expect(has(pool, tookBack) && has(pool, resumed))
    #expect(pool.phase == .warming)
    pool.advance(by: .milliseconds(10))
    #expect(pool.isReady)
    #expect(Set(pool.sessions.keys) == sessions)
    pool.advance(by: .seconds(60))
    #expect(pool.isReady)
    #expect(pool.drains.isEmpty)
  }

  @Test("a resume while closing warms again beside the leases that still finish")
  func resumeFromClosing() throws {
    let pool = Self.ready()
    let lease = pool.acquire()
    pool.drain()
    pool.advance(by: .seconds(8))
    pool.send(.resume)
    #expect(has(pool, tookBack))
    pool.advance(by: .seconds(1))
    #expect(pool.isReady && !pool.isDegraded)
    let id = try #require(pool.connection(of: lease))
    pool.release(lease)
    // It is as good as any.
    #expect(pool.sessions[id] != nil)
    pool.advance(by: .seconds(60))
    #expect(pool.isReady)
  }

  @Test("a resume while closing, after the grace period ended a scout, logs in anew")
  func resumeAfterAbandonedScout() {
    let pool = Self.ready { $0.minConnections = 2 }
    pool.acquire()
    pool.drain()
    pool.advance(by: .seconds(4))
    pool.server.login = .silent
    pool.end(pool.reserved!, .server("57P05", at: .idle))
    #expect(pool.connecting.count == 1)
    pool.advance(by: .seconds(2))
    #expect(pool.connecting.isEmpty && pool.phase == .draining)
    pool.server.heal()
    pool.send(.resume)
    pool.advance(by: .seconds(2))
    #expect(pool.isReady)
  }

  @Test("a resume from drained warms from nothing")
  func resumeFromDrained() {
    let pool = Self.ready()
    pool.drain()
    pool.advance(by: .seconds(6))
    #expect(pool.phase == .drained)
    pool.clearLog()
    pool.send(.resume)
    #expect(has(pool, resumed) && !has(pool, tookBack))
    #expect(pool.phase == .warming)
    #expect(pool.reasons == [.warming(open: 0, min: 3, because: nil)])
    pool.advance(by: .seconds(1))
    #expect(pool.isReady && pool.open == 3)
    // And can be drained again.
    pool.drain()
    pool.advance(by: .seconds(6))
    #expect(pool.phase == .drained)
    #expect(pool.drains.last?.closed == 3)
  }

  @Test("a resume without a drain changes nothing")
  func resumeOfNothing() {
    let pool = Self.ready()
    pool.send(.resume)
    #expect(has(pool, resumed) && !has(pool, tookBack))
    #expect(pool.isReady)
  }

  @Test("a resume after a termination is refused, in every stage")
  func resumeAfterTermination() {
    let pool = Self.ready()
    pool.release(pool.acquire())
    pool.terminate()
    for _ in 0..<2 {
      pool.clearLog()
      pool.send(.resume)
      #expect(has(pool, refused) && !has(pool, resumed))
      pool.advance(by: .seconds(10))
    }
    #expect(pool.phase == .drained)
  }

  @Test("started drained, it logs in nowhere, refuses callers, and warms when resumed")
  func startedDrained() {
    let pool = VirtualPool(drained: true)
    pool.advance(by: .seconds(600))
    #expect(pool.attempts.isEmpty)
    #expect(pool.reasons == [.drained])
    #expect(!pool.snapshot.hasBeenReady)
    #expect(pool.state(pool.acquire()) == .refused(.draining))
    pool.send(.resume)
    pool.advance(by: .seconds(1))
    #expect(pool.isReady)
  }

  @Test("started drained and resumed before it began, it warms when it begins")
  func resumedBeforeBeginning() {
    let pool = VirtualPool(drained: true, begun: false)
    pool.send(.resume)
    #expect(pool.attempts.isEmpty)
    pool.send(.begin)
    pool.advance(by: .seconds(1))
    #expect(pool.isReady)
  }
}
