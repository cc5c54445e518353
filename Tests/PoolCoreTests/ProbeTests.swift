import PoolCore
import Testing

@Suite struct Probing {
  static func ready(_ change: (inout PoolSettings) -> Void = { _ in }) -> VirtualPool {
    let pool = VirtualPool(seed: 1, change)
    pool.advance(within: .seconds(30)) { $0.isReady }
    pool.advance(by: .milliseconds(100))
    pool.clearLog()
    return pool
  }

  @Test("the probe is asked once an interval, whatever it takes to answer")
  func cadence() {
    let pool = VirtualPool { $0.probeInterval = .seconds(3) }
    pool.server.queryLatency = .milliseconds(400)
    pool.advance(by: .seconds(61))
    let times = pool.probes.map(\.at)
    #expect(times.count == 21)
    for (a, b) in zip(times, times.dropFirst()) { #expect(b - a == .seconds(3)) }
  }

  @Test("after a failed probe the next one follows within 250 ms")
  func retry() throws {
    let pool = Self.ready()
    pool.server.probe = .fails(.unexpectedAnswer)
    pool.advance(within: .seconds(6)) { $0.snapshot.probe.failuresInRow == 1 }
    let failed = pool.now
    pool.advance(by: .milliseconds(250))
    #expect(pool.probes.count { $0.at >= failed } >= 1)
  }

  @Test("a failing probe on working connections is asked less and less often, at least once an interval")
  func failingCadence() {
    let pool = Self.ready()
    pool.server.probe = .fails(.unexpectedAnswer)
    pool.advance(by: .seconds(60))
    let times = pool.probes.map(\.at)
    for (a, b) in zip(times, times.dropFirst()) { #expect(b - a <= .milliseconds(5001)) }
    #expect(times.count < 25)
    #expect(pool.attempts.isEmpty)
  }

  @Test(
    "when the probe's connection is silent, an idle one is asked at once, and while that one answers it is ready"
  )
  func silentConnection() throws {
    let pool = Self.ready { $0.minConnections = 3 }
    let silent = try #require(pool.reserved)
    pool.server.queries[silent] = .silent
    pool.advance(within: .seconds(7)) { !$0.closes.isEmpty }
    let closed = try #require(pool.closes.first)
    #expect(closed.id == silent && closed.reason == .silent)
    #expect(closed.at - pool.probes[0].at == .seconds(1))
    #expect(pool.probes.last?.at == closed.at)
    #expect(pool.probes.last?.id != silent)
    pool.advance(by: .seconds(30))
    #expect(!pool.lostReadiness)
    #expect(pool.isReady && !pool.isDegraded)
    #expect(pool.open == 3)
    #expect(pool.closes.count == 1)
  }

  @Test("a probe that runs into statement_timeout on one connection is asked of another, and costs nothing")
  func slowProbe() throws {
    let pool = Self.ready()
    let slow = try #require(pool.reserved)
    pool.server.queries[slow] = .fails(.server("57014", at: .probe))
    pool.advance(by: .seconds(30))
    #expect(!pool.lostReadiness)
    #expect(pool.closes.isEmpty)
  }

  struct Timing: Sendable, CustomTestStringConvertible {
    var interval: Duration
    var timeout: Duration
    var testDescription: String { "every \(interval), timeout \(timeout)" }
  }

  static let timings = [
    Timing(interval: .seconds(5), timeout: .seconds(1)), Timing(interval: .seconds(1), timeout: .seconds(1)),
    Timing(interval: .seconds(30), timeout: .milliseconds(250)),
    Timing(interval: .milliseconds(200), timeout: .milliseconds(20)),
    Timing(interval: .milliseconds(100), timeout: .milliseconds(10)),
  ]

  /// What the rest of the pool is doing when the server falls silent.
  enum Business: CaseIterable {
    case idle, allLeased, onlyProbe, growing, loginsFailing, verifying
  }

  @Test("a silent server is unready within interval + 3 × timeout", arguments: timings, Business.allCases)
  func hungServer(_ timing: Timing, _ business: Business) throws {
    for seed in UInt64(0)..<40 {
      let pool = VirtualPool(seed: seed) {
        $0.probeInterval = timing.interval
        $0.probeTimeout = timing.timeout
        $0.minConnections = business == .onlyProbe ? 1 : 4
        $0.maxConnections = 6
      }
      pool.server.queryLatency = .milliseconds(1)
      pool.advance(within: .seconds(30)) { $0.isReady }
      // The worst moment is just after a good probe.
      switch business {
      case .idle, .onlyProbe, .verifying: break
      case .allLeased: for _ in 0..<3 { pool.acquire(for: .seconds(60)) }
      case .growing: for _ in 0..<3 { pool.acquire(for: .seconds(60)) }
      case .loginsFailing:
        pool.server.refuse(.wrongPassword)
        for _ in 0..<5 { pool.acquire(for: .seconds(60)) }
        pool.advance(by: .seconds(3))
      }
      let good = pool.snapshot.probe.lastGood
      pool.advance(within: timing.interval * 2) { $0.snapshot.probe.lastGood != good }
      let began = pool.now
      if business == .loginsFailing {
        pool.server.probe = .silent
        pool.server.emptyQuery = .silent
      } else {
        pool.server.hang()
      }
      #expect(pool.isReady)
      if business == .growing {
        // A login for somebody else is under way when the probe fails.
        pool.advance(by: timing.interval + timing.timeout / 2)
        pool.acquire(for: .seconds(60))
      }
      if business == .verifying {
        pool.advance(by: timing.interval + timing.timeout / 2)
        pool.acquire(for: .seconds(60))
        if let idle = pool.idle.first { pool.end(idle, .closed) }
      }
      let bound = timing.interval + timing.timeout * 3
      let took = pool.advance(within: bound * 2) { $0.phase == .unready }
      #expect(took != nil)
      #expect(pool.now - began <= bound, "seed \(seed)")
      #expect(pool.snapshot.probe.failuresInRow >= 1)
      pool.server.heal()
      #expect(pool.advance(within: .seconds(120)) { $0.isReady } != nil)
    }
  }

  @Test(
    "a killed server: all sockets closed and the scout refused is unready at once", arguments: [1, 2, 5, 30])
  func killedServer(fall: Int) throws {
    for seed in UInt64(0)..<50 {
      let pool = VirtualPool(seed: seed) {
        $0.fall = fall
        $0.minConnections = 5
      }
      pool.advance(within: .seconds(3)) { $0.isReady }
      let leases = [pool.acquire(), pool.acquire()]
      pool.server.refuse(.refused)
      pool.endAll(.closed)
      let took = try #require(pool.advance(within: .seconds(1)) { !$0.isReady })
      #expect(took <= .milliseconds(150), "seed \(seed)")
      #expect(pool.phase == .unready)
      // Whoever holds a broken connection may do so for as long as it likes.
      #expect(leases.allSatisfy { pool.connection(of: $0) != nil })
    }
  }

  @Test(
    "a scout that takes longer than a probe may counts as failed then, is left to run, and counts when it arrives"
  )
  func lateWitness() throws {
    let pool = Self.ready { $0.minConnections = 1 }
    pool.server.loginLatency = .seconds(3)
    pool.server.probe = .silent
    pool.advance(within: .seconds(6)) { $0.snapshot.probe.failuresInRow == 1 }
    pool.server.probe = .answers
    #expect(pool.connecting.count == 1)
    let asked = pool.now
    let took = try #require(pool.advance(within: .seconds(3)) { $0.phase == .unready })
    #expect(took == .seconds(1))
    #expect(pool.connecting.count == 1)
    pool.advance(within: .seconds(4)) { $0.isReady }
    #expect(pool.isReady)
    #expect(pool.now - asked == .milliseconds(3001))
    #expect(pool.attempts.count == 1)
  }

  @Test("a late scout is no failure once another connection answers the probe")
  func lateScoutIsMoot() throws {
    let pool = Self.ready { $0.fall = 1 }
    let lease = pool.acquire()
    pool.server.login = .silent
    pool.server.queries[try #require(pool.reserved)] = .silent
    pool.advance(within: .seconds(7)) { $0.reserved == nil && !$0.connecting.isEmpty }
    pool.release(lease)
    pool.advance(by: .milliseconds(100))
    #expect(pool.isReady)
    let failures = pool.snapshot.counters.probesFailed
    pool.advance(by: .seconds(4))
    #expect(pool.isReady)
    #expect(pool.snapshot.counters.probesFailed == failures)
  }

  @Test("a scout that was late once is a witness again when the connection that stood in for it is lost too")
  func lateTwice() throws {
    let pool = Self.ready {
      $0.fall = 3
      $0.probeInterval = .seconds(1)
      $0.probeTimeout = .milliseconds(200)
    }
    let lease = pool.acquire()
    pool.server.login = .silent
    pool.server.queries[try #require(pool.reserved)] = .silent
    pool.advance(within: .seconds(3)) { $0.snapshot.probe.failuresInRow == 2 }
    #expect(pool.connecting.count == 1)
    pool.release(lease)
    pool.advance(within: .seconds(1)) { $0.snapshot.probe.failuresInRow == 0 }
    pool.server.hang()
    pool.advance(within: .seconds(3)) { $0.snapshot.probe.failuresInRow == 1 }
    #expect(pool.attempts.count == 1 && pool.connecting.count == 1)
    #expect(pool.advance(within: .milliseconds(200)) { $0.snapshot.probe.failuresInRow == 2 } != nil)
  }

  @Test("a login under way for another purpose is the witness when the probe's connection is lost")
  func adoptedWitness() throws {
    let pool = Self.ready()
    pool.acquire()
    pool.server.hang()
    pool.acquire(for: .seconds(30))
    #expect(pool.connecting.count == 1)
    pool.end(try #require(pool.reserved), .closed)
    #expect(pool.attempts.count == 1)
    let took = try #require(pool.advance(within: .seconds(9)) { $0.phase == .unready })
    #expect(took <= .seconds(2))
  }

  @Test("a full server is no failed probe while a lease of ours shows that it serves")
  func fullWhileLeased() throws {
    let pool = Self.ready()
    let lease = pool.acquire()
    pool.server.refuse(.full)
    pool.end(try #require(pool.reserved), .server("57P05", at: .idle))
    let failures = pool.snapshot.counters.probesFailed
    pool.advance(by: .seconds(4))
    #expect(pool.attempts.count > 1)
    #expect(pool.phase == .ready)
    #expect(pool.snapshot.counters.probesFailed == failures)
    #expect(pool.verdict.isReady)
    pool.release(lease)
    pool.advance(by: .seconds(1))
    #expect(pool.isReady && pool.isDegraded)
    #expect(pool.reasons.contains(.loginFailing(.full)))
  }

  @Test("a full server is a failed probe when the only lease left is broken")
  func fullAndBroken() throws {
    let pool = Self.ready()
    let lease = pool.acquire()
    pool.server.refuse(.full)
    pool.end(try #require(pool.connection(of: lease)), .closed)
    pool.end(try #require(pool.reserved), .closed)
    #expect(pool.advance(within: .seconds(3)) { $0.phase == .unready } != nil)
    #expect(pool.connection(of: lease) != nil)
  }

  @Test("one silent probe gives up one connection, not the others", arguments: [1, 2])
  func oneSilentProbe(fall: Int) throws {
    let pool = Self.ready {
      $0.fall = fall
      $0.minConnections = 4
    }
    pool.server.queries[try #require(pool.reserved)] = .silent
    pool.advance(by: .seconds(8))
    #expect(pool.closes.count == 1)
    #expect(pool.isReady)
  }

  @Test("an answer that lay unread while the process was frozen proves nothing: the question is asked again")
  func answerFromThePast() throws {
    let pool = Self.ready()
    let good = pool.snapshot.probe.lastGood
    pool.advance(within: .seconds(6)) { !$0.probes.isEmpty }
    pool.server.hang()
    pool.skip(.seconds(15))
    // The answer is read before any timer is looked at.
    pool.step()
    #expect(pool.snapshot.probe.lastGood == good)
    #expect(!pool.isReady)
    #expect(pool.probes.count == 2)
    #expect(pool.closes.isEmpty)
    pool.advance(within: .seconds(60), grain: .milliseconds(100)) { $0.isReady }
    #expect(!pool.isReady)
  }

  @Test("probe answers and failures of connections that are no longer the probe's change nothing")
  func strangers() throws {
    let pool = Self.ready { $0.minConnections = 3 }
    let before = pool.snapshot.probe
    pool.send(.probeAnswered(try #require(pool.idle.first)))
    pool.send(.probeFailed(try #require(pool.idle.first), .closed, usable: true))
    pool.send(.probeAnswered(ConnectionID(999)))
    pool.send(.verified(ConnectionID(999)))
    pool.send(.loggedIn(ConnectionID(999), host: HostID(0), took: .zero))
    pool.send(.loginFailed(ConnectionID(999), .refused))
    pool.send(.ended(ConnectionID(999), .closed))
    #expect(pool.snapshot.probe == before)
    #expect(pool.phase == .ready)
  }
}
