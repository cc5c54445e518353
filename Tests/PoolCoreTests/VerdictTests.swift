import Testing

@testable import PoolCore

@Suite struct Verdicts {
  static func ready(_ change: (inout PoolSettings) -> Void = { _ in }) -> VirtualPool {
    let pool = VirtualPool(seed: 1, change)
    pool.advance(by: .seconds(12))
    pool.clearLog()
    return pool
  }

  private func check(_ name: Verdict.Check.Name, of verdict: Verdict) -> Verdict.Check? {
    verdict.checks.first { $0.name == name }
  }

  @Test("a snapshot is not believed 2 s after it was made, and says for how long the loop has been silent")
  func heartbeat() {
    let pool = Self.ready()
    let snapshot = pool.snapshot
    #expect(snapshot.verdict(at: pool.now + .milliseconds(1999)).isReady)
    let late = snapshot.verdict(at: pool.now + .milliseconds(3200))
    #expect(!late.isReady)
    #expect(late.reasons == [.stalled(.milliseconds(3200))])
    #expect(late.reasons.first?.text == "stalled 3.2s")
    // Nor is any of the checks that speak of the database, asked alone.
    for name in [Verdict.Check.Name.heartbeat, .pool, .probe] {
      #expect(check(name, of: late)?.failure == .stalled(.milliseconds(3200)), "\(name)")
    }
  }

  @Test("it is alive until the loop has been silent for 10 s, whatever the database does")
  func alive() {
    let pool = Self.ready()
    pool.server.hang()
    pool.advance(by: .seconds(60))
    #expect(pool.snapshot.isAlive(at: pool.now + .milliseconds(9999)))
    #expect(!pool.snapshot.isAlive(at: pool.now + .seconds(10)))
  }

  @Test("ready is not believed once the last good probe is older than interval + 3 × timeout")
  func overdueProbe() throws {
    let pool = Self.ready {
      $0.probeInterval = .seconds(4)
      $0.probeTimeout = .milliseconds(500)
    }
    let good = try #require(pool.snapshot.probe.lastGood)
    let end = good + .milliseconds(5500)
    #expect(pool.snapshot.readyUntil == end)
    // A loop that beats and handles nothing else: the process was frozen and has just been thawed.
    var snapshot = pool.snapshot
    snapshot.taken = end
    #expect(snapshot.verdict(at: end).isReady)
    snapshot.taken = end + .seconds(15)
    let late = snapshot.verdict(at: end + .seconds(15))
    #expect(!late.isReady)
    #expect(late.reasons == [.stalled(.milliseconds(20_500))])
  }

  @Test("in normal running the probe is never overdue, however slow its answers are within the timeout")
  func neverOverdue() {
    let pool = VirtualPool()
    pool.server.queryLatency = .milliseconds(990)
    pool.advance(by: .seconds(5))
    #expect(pool.isReady)
    pool.advance(within: .seconds(120), grain: .milliseconds(100)) { !$0.isReady }
    #expect(pool.isReady)
  }

  @Test("held by policy it is believed until the hold ends, not by the probe's age")
  func heldIsBelieved() {
    let pool = Self.ready { $0.whenDatabaseLost = .hold(.seconds(60)) }
    pool.server.refuse(.starting)
    pool.endAll(.shutDown)
    pool.advance(by: .seconds(50))
    #expect(pool.isReady)
    pool.advance(by: .seconds(11))
    #expect(!pool.isReady)
  }

  @Test("the moment a hold runs out, the database is lost, and nothing is stalled", arguments: [false, true])
  func heldRunsOut(withLease: Bool) throws {
    let pool = Self.ready { $0.whenDatabaseLost = .hold(.seconds(60)) }
    if withLease { pool.acquire() }
    pool.advance(by: .milliseconds(10))
    pool.server.refuse(.starting)
    for id in pool.sessions.keys.sorted() where pool.holders[id] == nil { pool.end(id, .shutDown) }
    #expect(pool.open == (withLease ? 1 : 0))
    pool.advance(by: .seconds(5))
    let until = try #require(pool.snapshot.readyUntil)
    pool.advance(to: until - .milliseconds(1))
    // As the loop left it; the question comes before its next turn.
    let snapshot = pool.snapshot
    #expect(snapshot.verdict(at: until).isReady)
    let verdict = snapshot.verdict(at: until + .milliseconds(1))
    #expect(!verdict.isReady)
    #expect(verdict.reasons == [withLease ? .probeFailed(.starting) : .databaseLost(.starting)])
    #expect(check(.heartbeat, of: verdict)?.passed == true)
    #expect(check(.probe, of: verdict)?.passed == false)
    #expect(snapshot.stalled(at: until + .milliseconds(1)) == nil)
    // A loop that is silent for longer is stalled all the same.
    #expect(snapshot.stalled(at: until + .seconds(3)) != nil)
  }

  @Test("held by policy, the note is at the probe's check")
  func heldNote() {
    let pool = Self.ready { $0.whenDatabaseLost = .stay }
    pool.server.refuse(.starting)
    pool.endAll(.shutDown)
    pool.advance(by: .seconds(5))
    let verdict = pool.verdict
    #expect(verdict.isReady && verdict.isDegraded)
    #expect(check(.probe, of: verdict)?.note?.name == "held")
    #expect(check(.probe, of: verdict)?.passed == true)
    #expect(check(.pool, of: verdict)?.note?.name != "held")
  }

  @Test("a failing login is a note at the pool's check, and the verdict is degraded")
  func degradedNote() {
    let pool = Self.ready()
    pool.server.refuse(.full)
    pool.end(pool.idle[0], .server("57P05", at: .idle))
    pool.advance(by: .seconds(1))
    #expect(pool.verdict.isDegraded)
    #expect(check(.pool, of: pool.verdict)?.note == .loginFailing(.full))
    #expect(check(.probe, of: pool.verdict)?.note == nil)
    #expect(pool.verdict.checks.allSatisfy { $0.passed })
    #expect(pool.reasons == [.loginFailing(.full), .belowFloor(open: 1, min: 2)])
  }

  @Test("while warming, the pool's check fails below the floor and the probe's while it has not answered")
  func warmingChecks() {
    let pool = VirtualPool { $0.minConnections = 3 }
    #expect(check(.pool, of: pool.verdict)?.passed == false)
    #expect(check(.probe, of: pool.verdict)?.passed == false)
    #expect(check(.drain, of: pool.verdict)?.passed == true)
    #expect(check(.heartbeat, of: pool.verdict)?.passed == true)
    pool.advance(within: .seconds(1)) { $0.snapshot.probe.successesInRow == 1 }
    #expect(check(.pool, of: pool.verdict)?.passed == false)
    #expect(check(.probe, of: pool.verdict)?.passed == true)
    #expect(pool.reasons == [.warming(open: 1, min: 3, because: nil)])
    #expect(pool.reasons.first?.text == "warming 1/3")
  }

  @Test("a failed probe is the probe's failure, a lost database both checks'")
  func lostChecks() {
    let failing = Self.ready()
    failing.server.probe = .fails(.unexpectedAnswer)
    failing.advance(by: .seconds(10))
    #expect(check(.pool, of: failing.verdict)?.passed == true)
    #expect(check(.probe, of: failing.verdict)?.failure == .probeFailed(.unexpectedAnswer))
    let lost = Self.ready()
    lost.server.refuse(.refused)
    lost.endAll(.closed)
    lost.advance(by: .seconds(1))
    #expect(check(.pool, of: lost.verdict)?.failure == .databaseLost(.refused))
    #expect(check(.probe, of: lost.verdict)?.failure == .databaseLost(.refused))
  }

  @Test("draining is the drain's check alone, with its own reason first")
  func drainChecks() {
    let pool = Self.ready()
    pool.drain()
    #expect(check(.drain, of: pool.verdict)?.failure == .draining)
    #expect(check(.pool, of: pool.verdict)?.passed == true)
    #expect(check(.probe, of: pool.verdict)?.passed == true)
    #expect(pool.reasons == [.draining])
    pool.advance(by: .seconds(6))
    #expect(pool.reasons == [.drained])
  }

  @Test("drain and heartbeat cannot be left out of a verdict")
  func exclusions() {
    #expect(Verdict.Check.Name.allCases.filter { $0.canBeExcluded } == [.pool, .probe])
  }

  @Test("every reason and fault has words that show neither host nor message")
  func words() {
    let secret = Fault(
      .server(.cannotConnectNow), at: .session, host: "db-7.internal:5432", message: "le texte")
    for reason in [Reason.probeFailed(secret), .databaseLost(secret), .loginFailing(secret), .held(secret)] {
      #expect(!reason.text.contains("db-7") && !reason.text.contains("texte"))
      #expect(reason.text.contains("57P03"))
      #expect(reason.detail.contains("db-7.internal:5432") && reason.detail.contains("le texte"))
    }
  }

  @Test("an SQLSTATE is five capital letters or digits, and nothing else is taken for one")
  func sqlState() {
    for good in ["57P03", "00000", "XX000"] { #expect(SQLState(good)?.code == good) }
    for bad in ["", "57P0", "57P033", "57p03", "57P0\u{0}", "57 03", "５７P03", "57P0é"] {
      #expect(SQLState(bad) == nil)
    }
  }
}

@Suite struct Arithmetic {
  @Test("times saturate instead of trapping")
  func instants() {
    #expect(Instant.distantFuture + .seconds(1) == .distantFuture)
    #expect(Instant(nanoseconds: .min) - Duration.seconds(1) == Instant(nanoseconds: .min))
    #expect(Instant(nanoseconds: .max) - Instant(nanoseconds: .min) == .nanoseconds(Int64.max))
    #expect(Duration.seconds(Int64.max).inNanoseconds == .max)
    #expect(Duration.seconds(Int64.min).inNanoseconds == .min)
    #expect(Duration.seconds(1_000_000_000).scaled(by: 1e12) == .nanoseconds(Int64.max))
    #expect(Duration.milliseconds(3249).inTenths == "3.2s")
    #expect(Duration.milliseconds(-3249).inTenths == "-3.2s")
    #expect(Duration.seconds(Int64.min).inTenths.hasPrefix("-"))
  }

  @Test("absurd deadlines and settings trap nowhere")
  func absurd() {
    let pool = VirtualPool {
      $0.maxLifetime = .seconds(Int64.max)
      $0.idleTimeout = .seconds(Int64.max)
      $0.healthCheckInterval = .seconds(Int64.max)
      $0.acquireTimeout = .seconds(Int64.max)
      $0.drainDelay = .seconds(Int64.max)
      $0.drainTimeout = .seconds(Int64.max)
      $0.minConnections = 2
      $0.maxConnections = 2
    }
    pool.advance(by: .seconds(60))
    #expect(pool.isReady)
    pool.acquire()
    pool.acquire()
    pool.send(.drain(deadline: .distantFuture))
    pool.advance(by: .seconds(60))
    pool.send(.drain(deadline: Instant(nanoseconds: .min)))
    #expect(pool.phase == .drained)
  }
}

@Suite struct Settings {
  @Test("settings that cannot work name the setting and the bound")
  func validation() {
    func refused(_ change: (inout PoolSettings) -> Void) -> String? {
      var settings = PoolSettings()
      change(&settings)
      do throws(SettingsError) { try settings.validate() } catch { return error.setting }
      return nil
    }
    #expect(refused { _ in } == nil)
    #expect(refused { $0.minConnections = 0 } == "min-connections")
    #expect(refused { $0.minConnections = 11 } == "max-connections")
    #expect(refused { $0.maxConnections = .max } == "max-connections")
    #expect(refused { $0.maxWaiting = -1 } == "max-waiting")
    #expect(refused { $0.acquireTimeout = .zero } == "acquire-timeout")
    #expect(refused { $0.idleTimeout = .milliseconds(999) } == "idle-timeout")
    #expect(refused { $0.maxLifetime = .zero } == "max-lifetime")
    #expect(refused { $0.healthCheckInterval = .zero } == "health-check-interval")
    #expect(refused { $0.healthCheckInterval = .seconds(1800) } == "health-check-interval")
    #expect(refused { $0.healthCheckInterval = .seconds(1799) } == nil)
    #expect(refused { $0.idleTimeout = .seconds(1801) } == "idle-timeout")
    #expect(refused { $0.idleTimeout = .seconds(1800) } == nil)
    // A short lifetime alone is no contradiction: the defaults give way.
    #expect(refused { $0.maxLifetime = .seconds(5) } == nil)
    #expect(refused { $0.leakAfter = .zero } == "leak-after")
    #expect(refused { $0.probeInterval = .milliseconds(99) } == "probe-interval")
    #expect(refused { $0.probeTimeout = .milliseconds(9) } == "probe-timeout")
    #expect(refused { $0.probeTimeout = .seconds(6) } == "probe-timeout")
    #expect(refused { $0.connectTimeout = .milliseconds(99) } == "connect-timeout")
    #expect(refused { $0.rise = 0 } == "rise")
    #expect(refused { $0.fall = 101 } == "fall")
    #expect(refused { $0.drainDelay = .seconds(-1) } == "drain-delay")
    #expect(refused { $0.drainTimeout = .seconds(4) } == "drain-timeout")
    #expect(refused { $0.splay = .seconds(-1) } == "splay")
  }
}
