import Testing

@testable import PoolCore

@Suite struct Readiness {
  static func ready(seed: UInt64 = 1, _ change: (inout PoolSettings) -> Void = { _ in }) -> VirtualPool {
    let pool = VirtualPool(seed: seed, change)
    pool.advance(within: .seconds(30)) { $0.isReady }
    pool.advance(by: .seconds(3))
    pool.clearLog()
    return pool
  }

  @Test("`fall` failed probes in a row make it unready, one fewer do not", arguments: [1, 2, 3, 5])
  func fall(_ fall: Int) {
    let pool = Self.ready { $0.fall = fall }
    pool.server.probe = .fails(.unexpectedAnswer)
    pool.advance(within: .seconds(60)) { $0.phase == .unready }
    #expect(pool.snapshot.probe.failuresInRow == fall)
    #expect(pool.reasons == [.probeFailed(.unexpectedAnswer)])
  }

  @Test("a good probe in between starts the count anew")
  func fallInARow() {
    let pool = Self.ready { $0.minConnections = 1 }
    for _ in 0..<10 {
      pool.server.probe = .fails(.unexpectedAnswer)
      pool.advance(within: .seconds(6)) { $0.snapshot.probe.failuresInRow == 1 }
      pool.server.probe = .answers
      pool.advance(within: .seconds(6)) { $0.snapshot.probe.failuresInRow == 0 }
    }
    #expect(!pool.lostReadiness)
  }

  @Test("`rise` good probes in a row make it ready, at first and again", arguments: [1, 2, 4])
  func rise(_ rise: Int) throws {
    let pool = VirtualPool { $0.rise = rise }
    pool.advance(within: .seconds(10)) { $0.isReady }
    #expect(pool.snapshot.counters.probesSucceeded == rise)
    pool.server.probe = .fails(.unexpectedAnswer)
    pool.advance(within: .seconds(30)) { $0.phase == .unready }
    pool.server.heal()
    let before = pool.snapshot.counters.probesSucceeded
    pool.advance(within: .seconds(10)) { $0.snapshot.probe.successesInRow == 1 }
    let took = try #require(pool.advance(within: .seconds(10)) { $0.isReady })
    #expect(pool.snapshot.counters.probesSucceeded == before + rise)
    // Those that are wanted still follow quickly.
    #expect(took <= .milliseconds(260) * (rise - 1))
  }

  @Test("ready again needs an answered probe, not the floor")
  func readyBelowFloor() {
    let pool = Self.ready { $0.minConnections = 4 }
    pool.server.refuse(.refused)
    pool.endAll(.closed)
    pool.advance(by: .seconds(2))
    #expect(pool.reasons == [.databaseLost(.refused)])
    pool.server.heal()
    pool.advance(within: .seconds(10)) { $0.isReady }
    #expect(pool.open == 1)
    #expect(pool.isDegraded)
    #expect(pool.reasons.contains(.belowFloor(open: 1, min: 4)))
    pool.advance(by: .seconds(1))
    #expect(!pool.isDegraded)
  }

  @Test("while unready it says what failed last, also between successes that are not enough yet")
  func unreadyReason() {
    let pool = Self.ready { $0.rise = 3 }
    pool.server.probe = .fails(.unexpectedAnswer)
    pool.advance(within: .seconds(30)) { $0.phase == .unready }
    pool.server.heal()
    pool.advance(within: .seconds(6)) { $0.snapshot.probe.successesInRow == 1 }
    #expect(pool.reasons == [.probeFailed(.unexpectedAnswer)])
  }

  @Test("every change of the verdict is one transition with its reasons, and the counter counts them")
  func transitions() {
    let pool = Self.ready()
    pool.server.refuse(.refused)
    pool.endAll(.closed)
    pool.advance(by: .seconds(20))
    pool.server.heal()
    pool.advance(by: .seconds(20))
    let phases = pool.transitions.filter { $0.from != $0.to }
    #expect(phases.map(\.to) == [.unready, .ready])
    #expect(phases.first?.reasons.isEmpty == false)
    #expect(pool.snapshot.counters.readyTransitions == 3)
    #expect(pool.snapshot.timeline.count == pool.transitions.count + 2)
    for (a, b) in zip(pool.transitions, pool.transitions.dropFirst()) {
      #expect(a.to == b.from)
      #expect(a.from != a.to || a.degraded || !a.reasons.isEmpty || b.to == .ready)
    }
  }

  // MARK: - Degraded

  @Test("a login that fails while sessions work is degraded with its reason, never unready")
  func loginFailing() {
    for fault in [Fault.wrongPassword, Fault(.nameNotFound, at: .name), .full, Fault(.certificate, at: .tls)]
    {
      let pool = Self.ready {
        $0.maxLifetime = .seconds(5)
        $0.minConnections = 3
      }
      let sessions = Set(pool.sessions.keys)
      pool.server.refuse(fault)
      pool.advance(by: .seconds(10))
      // What was replaced before the first failure is one at most.
      let kept = Set(pool.sessions.keys)
      pool.advance(by: .seconds(300))
      #expect(!pool.lostReadiness)
      #expect(pool.isReady && pool.isDegraded)
      #expect(pool.reasons.contains(.loginFailing(fault)))
      #expect(Set(pool.sessions.keys) == kept)
      #expect(kept.intersection(sessions).count >= 2)
      #expect(pool.open == 3)
      // Mended: ageing goes on by itself.
      pool.server.heal()
      pool.advance(by: .seconds(90))
      #expect(pool.isReady && !pool.isDegraded)
      #expect(Set(pool.sessions.keys).intersection(kept).isEmpty)
      #expect(!pool.lostReadiness)
    }
  }

  @Test("a failed login that nobody needed any more is tried again every 30 to 60 s, until it works")
  func trial() {
    let pool = Self.ready()
    pool.acquire()
    pool.server.refuse(.full)
    pool.acquire(for: .milliseconds(50))
    pool.advance(by: .seconds(1))
    #expect(pool.isDegraded)
    pool.clearLog()
    pool.advance(by: .seconds(600))
    #expect((9...21).contains(pool.attempts.count))
    pool.server.heal()
    pool.advance(by: .seconds(61))
    #expect(!pool.isDegraded)
    pool.clearLog()
    pool.advance(by: .seconds(120))
    #expect(pool.attempts.isEmpty)
  }

  // MARK: - Policy

  /// The server says 57P03 to whoever knocks, and has ended everybody with 57P01.
  private func restart(_ pool: VirtualPool) {
    pool.server.refuse(.starting)
    pool.endAll(.shutDown)
  }

  @Test("unready: also for a cause that every instance sees")
  func policyUnready() {
    let pool = Self.ready()
    restart(pool)
    pool.advance(by: .seconds(1))
    #expect(pool.phase == .unready)
  }

  @Test("hold=3s: ready for 3 s when the server named the cause, then unready")
  func policyHold() throws {
    let pool = Self.ready { $0.whenDatabaseLost = .hold(.seconds(3)) }
    let began = pool.now
    restart(pool)
    pool.advance(by: .milliseconds(2900))
    #expect(pool.isReady && pool.isDegraded)
    #expect(pool.reasons.first?.name == "held")
    try #require(pool.advance(within: .seconds(1)) { !$0.isReady } != nil)
    #expect(pool.phase == .unready)
    #expect(pool.now - began <= .milliseconds(3500))
    pool.server.heal()
    pool.advance(by: .seconds(5))
    #expect(pool.isReady && !pool.isDegraded)
  }

  @Test("hold: recovering in time, readiness was never lost, and the next loss is held anew")
  func policyHoldTwice() {
    let pool = Self.ready { $0.whenDatabaseLost = .hold(.seconds(10)) }
    for _ in 0..<3 {
      restart(pool)
      pool.advance(by: .seconds(4))
      pool.server.heal()
      pool.advance(by: .seconds(80))
      #expect(pool.isReady && !pool.isDegraded)
    }
    #expect(!pool.lostReadiness)
  }

  @Test("hold: a refusal after the server has said that it shuts down is that same shutdown")
  func policyHoldRefused() {
    let pool = Self.ready { $0.whenDatabaseLost = .hold(.seconds(10)) }
    pool.server.refuse(.refused)
    pool.endAll(.shutDown)
    pool.advance(by: .seconds(9))
    #expect(pool.isReady)
    pool.advance(by: .seconds(2))
    #expect(pool.phase == .unready)
  }

  @Test("hold: logins that work again do not end it, only an answered probe does")
  func policyHoldUntilProbe() {
    let pool = Self.ready {
      $0.whenDatabaseLost = .hold(.seconds(3))
      $0.fall = 9
    }
    restart(pool)
    pool.advance(by: .seconds(1))
    #expect(pool.reasons.first?.name == "held")
    pool.server.heal()
    pool.server.probe = .silent
    pool.advance(within: .seconds(10)) { !$0.isReady }
    #expect(pool.phase == .unready)
  }

  @Test("hold does not apply to silence, refusal or authentication alone")
  func policyHoldNot() {
    for fault in [
      Fault.refused, .wrongPassword, Fault(.unreachable, at: .tcp), Fault(.nameNotFound, at: .name),
    ] {
      let pool = Self.ready { $0.whenDatabaseLost = .hold(.seconds(60)) }
      pool.server.refuse(fault)
      pool.endAll(.closed)
      pool.advance(by: .seconds(1))
      #expect(pool.phase == .unready, "\(fault)")
    }
    let pool = Self.ready { $0.whenDatabaseLost = .hold(.seconds(60)) }
    pool.server.hang()
    pool.advance(by: .seconds(8))
    #expect(pool.phase == .unready)
  }

  @Test("stay: ready without limit when the server named the cause")
  func policyStay() {
    let pool = Self.ready { $0.whenDatabaseLost = .stay }
    restart(pool)
    pool.advance(by: .seconds(3600))
    #expect(pool.isReady && pool.isDegraded)
    #expect(!pool.lostReadiness)
  }

  @Test("stay: for 30 s on silence and on refusal")
  func policyStaySilence() throws {
    for isSilent in [true, false] {
      let pool = Self.ready { $0.whenDatabaseLost = .stay }
      if isSilent {
        pool.server.hang()
        pool.advance(within: .seconds(10)) {
          !$0.isReady || $0.isDegraded && $0.reasons.first?.name == "held"
        }
      } else {
        pool.server.refuse(.refused)
        pool.endAll(.closed)
      }
      let began = pool.now
      pool.advance(by: .milliseconds(29_000))
      #expect(pool.isReady, "silent: \(isSilent)")
      try #require(pool.advance(within: .seconds(2)) { $0.phase == .unready } != nil)
      #expect(pool.now - began >= .milliseconds(29_900))
      #expect(pool.now - began <= .milliseconds(30_200))
    }
  }

  @Test("stay does not apply to authentication, names or TLS")
  func policyStayNot() {
    for fault in [Fault.wrongPassword, Fault(.nameNotFound, at: .name), Fault(.certificate, at: .tls)] {
      let pool = Self.ready { $0.whenDatabaseLost = .stay }
      pool.server.refuse(fault)
      pool.endAll(.shutDown)
      pool.advance(by: .seconds(2))
      #expect(pool.phase == .unready, "\(fault)")
    }
  }

  @Test("no policy applies before the first ready", arguments: [LostPolicy.hold(.seconds(60)), .stay])
  func policyBeforeReady(_ policy: LostPolicy) {
    var server = VirtualServer()
    server.refuse(.starting)
    var settings = PoolSettings()
    settings.whenDatabaseLost = policy
    let pool = VirtualPool(settings, server: server)
    pool.advance(by: .seconds(60))
    #expect(pool.phase == .warming)
    #expect(!pool.isReady)
    #expect(pool.reasons == [.warming(open: 0, min: 2, because: .starting)])
  }

  @Test("no policy applies in a drain, nor to the warming after it is taken back")
  func policyInDrain() {
    let pool = Self.ready { $0.whenDatabaseLost = .stay }
    restart(pool)
    pool.advance(by: .seconds(5))
    #expect(pool.isReady)
    pool.drain()
    #expect(!pool.isReady)
    pool.send(.resume)
    pool.advance(by: .seconds(60))
    #expect(pool.phase == .warming)
  }
}
