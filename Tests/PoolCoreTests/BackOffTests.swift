import Testing

@testable import PoolCore

@Suite struct BackOff {
  /// Mean attempts, over seeds, of a pool that has never been let in.
  private func attempts(_ fault: Fault, in time: Duration, seeds: UInt64 = 60) -> (mean: Double, most: Int) {
    var (sum, most) = (0, 0)
    for seed in 0..<seeds {
      var server = VirtualServer()
      server.refuse(fault)
      server.loginLatency = .zero
      let pool = VirtualPool(PoolSettings(), seed: seed, server: server)
      pool.keepsLog = false
      pool.advance(by: time)
      sum += pool.attempts.count
      most = max(most, pool.attempts.count)
    }
    return (Double(sum) / Double(seeds), most)
  }

  struct Pace: Sendable, CustomTestStringConvertible {
    var fault: Fault
    /// Bounds of the mean number of attempts.
    var in30s: ClosedRange<Double>
    var in10min: ClosedRange<Double>
    /// Of a single instance.
    var atMostIn30s: Int
    var testDescription: String { fault.summary }
  }

  // With full jitter the mean wait is half the bound. Transient: 6 waits of 3.2 s in all, then 2.5 s each, and from
  // 100 s on a fortieth of the outage.
  static let paces = [
    Pace(fault: .refused, in30s: 14...22, in10min: 100...140, atMostIn30s: 34),
    Pace(fault: Fault(.unreachable, at: .tcp), in30s: 14...22, in10min: 100...140, atMostIn30s: 34),
    Pace(fault: Fault(.wrongRole, at: .role), in30s: 14...22, in10min: 100...140, atMostIn30s: 34),
    Pace(fault: Fault(.nameNotFound, at: .name), in30s: 14...22, in10min: 25...50, atMostIn30s: 34),
    // The cap is 2 s, and grows to a twentieth of the outage from 40 s on.
    Pace(fault: .starting, in30s: 26...42, in10min: 120...200, atMostIn30s: 60),
    Pace(fault: .full, in30s: 4...8, in10min: 38...56, atMostIn30s: 14),
    // Once more soon, in case the secret has just been rotated, then every 30 to 60 s.
    Pace(fault: .wrongPassword, in30s: 2...3, in10min: 13...18, atMostIn30s: 3),
    Pace(fault: .server("28000"), in30s: 1...2, in10min: 13...17, atMostIn30s: 2),
    Pace(fault: Fault(.passwordMissing, at: .authentication), in30s: 1...2, in10min: 13...17, atMostIn30s: 2),
    Pace(fault: Fault(.misconfigured, at: .settings), in30s: 1...2, in10min: 13...17, atMostIn30s: 2),
    Pace(fault: Fault(.tlsFailed, at: .tls), in30s: 1...2, in10min: 13...17, atMostIn30s: 2),
    Pace(fault: Fault(.certificate, at: .tls), in30s: 1.5...3, in10min: 24...31, atMostIn30s: 3),
    Pace(fault: .server("3D000"), in30s: 5...8, in10min: 21...29, atMostIn30s: 13),
    Pace(fault: .server("55000"), in30s: 2...4, in10min: 31...40, atMostIn30s: 7),
    Pace(fault: .server("08P01"), in30s: 3...4.5, in10min: 48...60, atMostIn30s: 5),
  ]

  @Test("each kind of failed login has its own pace of attempts, over 30 s and over 10 min", arguments: paces)
  func pace(_ pace: Pace) {
    let short = attempts(pace.fault, in: .seconds(30))
    #expect(pace.in30s.contains(short.mean), "\(short)")
    #expect(short.most <= pace.atMostIn30s, "\(short)")
    let long = attempts(pace.fault, in: .seconds(600), seeds: 20)
    #expect(pace.in10min.contains(long.mean), "\(long)")
  }

  @Test("jitter is full: instances that failed at one moment do not knock in step")
  func jitter() {
    var times: [Duration] = []
    for seed in UInt64(0)..<400 {
      let pool = VirtualPool(seed: seed) { $0.minConnections = 1 }
      pool.advance(by: .seconds(70))
      pool.server.refuse(.refused)
      pool.clearLog()
      let lost = pool.now
      pool.end(pool.reserved!, .closed)
      pool.advance(within: .seconds(1)) { !$0.attempts.isEmpty }
      times.append(pool.attempts[0] - lost)
    }
    #expect(times.allSatisfy { $0 <= .milliseconds(100) })
    for start in stride(from: 0, to: 100, by: 10) {
      let share = times.count { $0 >= .milliseconds(start) && $0 < .milliseconds(start + 10) }
      #expect((15...75).contains(share))
    }
  }

  @Test("the cap grows with a long outage, to a minute, and starts anew after it")
  func longOutage() {
    var server = VirtualServer()
    server.refuse(.refused)
    var settings = PoolSettings()
    settings.minConnections = 1
    let pool = VirtualPool(settings, seed: 5, server: server)
    pool.advance(by: .seconds(7200))
    pool.clearLog()
    pool.advance(by: .seconds(3600))
    // 30 s in the mean.
    #expect((90...155).contains(pool.attempts.count))
    let gaps = zip(pool.attempts, pool.attempts.dropFirst()).map { $1 - $0 }
    #expect(gaps.allSatisfy { $0 <= .milliseconds(60_010) })
    #expect(gaps.contains { $0 > .seconds(40) })
    pool.server.heal()
    pool.advance(within: .seconds(61)) { $0.isReady }
    pool.advance(by: .seconds(70))
    pool.server.refuse(.refused)
    pool.clearLog()
    pool.endAll(.closed)
    pool.advance(by: .seconds(30))
    #expect((8...34).contains(pool.attempts.count))
  }

  @Test("after a changed password the next attempt follows within 500 ms, not in step")
  func credentials() {
    var delays: [Duration] = []
    for seed in UInt64(0)..<100 {
      var server = VirtualServer()
      server.refuse(.wrongPassword)
      let pool = VirtualPool(PoolSettings(), seed: seed, server: server)
      pool.advance(by: .seconds(20))
      pool.server.heal()
      pool.clearLog()
      pool.send(.credentialsChanged)
      let changed = pool.now
      pool.advance(by: .milliseconds(500))
      delays.append((pool.attempts.first ?? .distantFuture) - changed)
      #expect(pool.attempts.first != nil)
      pool.advance(by: .milliseconds(100))
      #expect(pool.isReady)
    }
    #expect(Set(delays).count > 90)
  }

  @Test(
    "a password that changes while a login with the former one is under way is tried within 500 ms of its failure"
  )
  func credentialsInFlight() {
    for seed in UInt64(0)..<50 {
      var server = VirtualServer()
      server.refuse(.wrongPassword)
      server.loginLatency = .milliseconds(100)
      let pool = VirtualPool(PoolSettings(), seed: seed, server: server)
      // After so many, even a first failure of the new one would be followed by seconds.
      pool.advance(within: .seconds(600)) { $0.attempts.count == 8 }
      pool.server.heal()
      pool.send(.credentialsChanged)
      pool.advance(by: .milliseconds(810))
      #expect(pool.isReady, "seed \(seed)")
    }
  }

  @Test("a changed password that is wrong again is tried once more soon, and then no faster than before")
  func credentialsWrongAgain() {
    var server = VirtualServer()
    server.refuse(.wrongPassword)
    let pool = VirtualPool(PoolSettings(), seed: 1, server: server)
    pool.advance(by: .seconds(100))
    pool.clearLog()
    pool.send(.credentialsChanged)
    pool.advance(by: .seconds(28))
    #expect((1...3).contains(pool.attempts.count))
  }

  @Test("a changed password makes nobody log in who has no need to")
  func credentialsWhenWell() {
    let pool = VirtualPool()
    pool.advance(by: .seconds(1))
    pool.clearLog()
    pool.send(.credentialsChanged)
    pool.advance(by: .seconds(60))
    #expect(pool.attempts.isEmpty)
  }

  enum Wasted: CaseIterable { case silent, closed, readOnly, wrongRole }

  @Test(
    "a scout that logs in and then gets no answer is a failed attempt: no storm of logins",
    arguments: Wasted.allCases)
  func wastedScouts(_ wasted: Wasted) {
    var server = VirtualServer()
    switch wasted {
    case .silent: server.probe = .silent
    case .closed: server.probe = .ends(.closed)
    case .readOnly: server.probe = .fails(.readOnly)
    case .wrongRole: server.probe = .fails(Fault(.wrongRole, at: .role))
    }
    var sum = 0
    for seed in UInt64(0)..<20 {
      let pool = VirtualPool(PoolSettings(), seed: seed, server: server)
      pool.advance(by: .seconds(600))
      #expect(pool.phase == .warming)
      #expect(pool.attempts.count < 300)
      sum += pool.attempts.count
      pool.server.heal()
      #expect(pool.advance(within: .seconds(31)) { $0.isReady } != nil)
    }
    #expect((70...150).contains(sum / 20), "\(sum / 20)")
  }

  @Test("sessions that are lost again and again soon after they answered do not make logins more frequent")
  func lostAgainAndAgain() {
    let pool = VirtualPool { $0.maxConnections = 3 }
    for _ in 0..<20_000 where pool.elapsed < .seconds(600) {
      pool.advance(within: .seconds(70)) { $0.isReady && !$0.idle.isEmpty }
      pool.release(pool.acquire(), reusable: true, .readOnly)
    }
    // Two logins a loss, a loss every 2.5 s in the mean.
    #expect(pool.attempts.count < 700)
    pool.advance(by: .seconds(100))
    #expect(pool.isReady && !pool.isDegraded)
  }

  @Test("a restart after a quiet hour is met within 100 ms: an earlier loss is forgotten")
  func lossesAreForgotten() {
    let pool = VirtualPool { $0.minConnections = 1 }
    pool.advance(by: .seconds(1))
    for _ in 0..<30 {
      pool.end(pool.reserved!, .closed)
      pool.advance(by: .milliseconds(110))
      #expect(pool.isReady && pool.open == 1)
      pool.advance(by: .seconds(61))
    }
  }

  @Test("a full server is knocked at by one login at a time, and its sessions are kept")
  func fullServer() {
    let pool = VirtualPool { $0.minConnections = 5 }
    pool.advance(within: .seconds(1)) { $0.open == 2 && $0.connecting.count == 2 }
    pool.server.refuse(.full)
    pool.advance(by: .milliseconds(20))
    pool.clearLog()
    let open = Set(pool.sessions.keys)
    pool.advance(by: .seconds(600))
    #expect(pool.closes.isEmpty)
    #expect(Set(pool.sessions.keys) == open)
    #expect((25...60).contains(pool.attempts.count))
  }
}
