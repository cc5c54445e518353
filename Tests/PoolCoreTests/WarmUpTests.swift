import PoolCore
import Testing

@Suite struct WarmUp {
  @Test("the scout is alone until it has logged in and answered the probe")
  func scoutAlone() {
    var server = VirtualServer()
    server.loginLatency = .milliseconds(400)
    server.queryLatency = .milliseconds(300)
    var settings = PoolSettings()
    settings.minConnections = 5
    let pool = VirtualPool(settings, server: server)
    pool.advance(by: .milliseconds(699))
    #expect(pool.attempts.count == 1)
    #expect(pool.probes.count == 1)
    pool.advance(by: .milliseconds(1))
    #expect(pool.attempts.count == 3)
  }

  @Test("after the first success at most two logins are in flight, up to the floor and no further")
  func twoInFlight() {
    let pool = VirtualPool { $0.minConnections = 6 }
    var most = 0
    pool.advance(within: .seconds(1)) {
      most = max(most, $0.connecting.count)
      return $0.open == 6
    }
    #expect(most == 2)
    pool.advance(by: .seconds(20))
    #expect(pool.open == 6)
    #expect(pool.attempts.count == 6)
  }

  @Test("alone, an instance warms without a pause: each login follows the one before at once")
  func noWaitAlone() {
    let pool = VirtualPool { $0.minConnections = 5 }
    let took = pool.advance(within: .seconds(1)) { $0.isReady }
    // Scout 2 ms, probe 1 ms, then two rounds of two logins of 2 ms.
    #expect(took == .milliseconds(7))
  }

  @Test(
    "one login at a time after a full server, a starting one, or a timeout",
    arguments: [Fault.full, .starting, .loginTimedOut])
  func oneAtATime(_ fault: Fault) {
    let pool = VirtualPool {
      $0.minConnections = 8
      $0.maxConnections = 8
    }
    pool.advance(within: .seconds(1)) { $0.open == 3 }
    pool.server.refuse(fault)
    pool.advance(by: .milliseconds(10))
    pool.clearLog()
    var most = 0
    pool.advance(within: .seconds(120)) {
      most = max(most, $0.connecting.count)
      return false
    }
    #expect(pool.attempts.count > 3)
    #expect(most == 1)
    #expect(pool.phase == .warming)
    pool.server.heal()
    pool.advance(within: .seconds(90)) {
      most = max(most, $0.connecting.count)
      return $0.isReady
    }
    #expect(most == 2)
    #expect(pool.isReady)
  }

  @Test("with a floor of five, four open connections are not ready")
  func fourOfFive() {
    let pool = VirtualPool { $0.minConnections = 5 }
    // The fifth login is begun when the server is full.
    pool.advance(within: .seconds(1)) { $0.open == 2 && $0.connecting.count == 2 }
    pool.server.refuse(.full)
    pool.advance(by: .seconds(60))
    #expect(pool.open == 4)
    #expect(!pool.isReady)
    #expect(pool.reasons == [.warming(open: 4, min: 5, because: .full)])
    pool.server.heal()
    pool.advance(within: .seconds(60)) { $0.open == 5 }
    #expect(pool.isReady)
  }

  @Test("a probe that fails keeps it warming, with its reason, and logs in no more for it")
  func failingProbe() {
    let pool = VirtualPool()
    let fault = Fault.server("42P01", at: .probe)
    pool.server.probe = .fails(fault)
    pool.advance(by: .seconds(60))
    #expect(pool.phase == .warming)
    #expect(pool.reasons == [.warming(open: 1, min: 2, because: fault)])
    #expect(pool.attempts.count == 1)
    pool.server.heal()
    #expect(pool.advance(within: .seconds(6)) { $0.isReady } != nil)
  }

  @Test("an unexpected answer keeps it warming even with the floor open")
  func unexpectedAnswer() {
    let pool = VirtualPool { $0.rise = 2 }
    pool.advance(within: .seconds(1)) { $0.open == 2 }
    pool.server.probe = .fails(.unexpectedAnswer)
    pool.advance(by: .seconds(30))
    #expect(pool.reasons == [.warming(open: 2, min: 2, because: .unexpectedAnswer)])
    #expect(pool.snapshot.verdict(at: pool.now).checks.first { $0.name == .pool }?.passed == true)
    #expect(pool.snapshot.verdict(at: pool.now).checks.first { $0.name == .probe }?.passed == false)
  }

  @Test("startup latches: once ready, it has been ready for the rest of its life")
  func startupLatches() {
    let pool = VirtualPool()
    #expect(!pool.snapshot.hasBeenReady)
    pool.advance(by: .seconds(1))
    #expect(pool.snapshot.hasBeenReady)
    pool.server.refuse(.refused)
    pool.endAll(.closed)
    pool.advance(by: .seconds(1))
    #expect(pool.phase == .unready)
    #expect(pool.snapshot.hasBeenReady)
    pool.drain()
    pool.advance(by: .seconds(30))
    #expect(pool.phase == .drained)
    #expect(pool.snapshot.hasBeenReady)
    #expect(pool.snapshot.firstReady == .origin + .milliseconds(5))
  }

  @Test("splay delays the first login by up to its length, and differs between instances")
  func splay() {
    let delays: [Duration] = (0..<UInt64(200)).map { seed in
      let pool = VirtualPool(seed: seed) { $0.splay = .seconds(10) }
      #expect(pool.phase == .starting)
      #expect(pool.reasons == [.starting])
      pool.advance(within: .seconds(10)) { !$0.attempts.isEmpty }
      #expect(pool.phase == .warming)
      return pool.elapsed
    }
    #expect(Set(delays).count > 190)
    let mean = delays.reduce(.zero, +) / 200
    #expect(mean > .seconds(4) && mean < .seconds(6))
  }

  @Test("a changed password does not cut the splay short")
  func splayOutlastsCredentials() {
    let pool = VirtualPool(seed: 3) { $0.splay = .seconds(60) }
    let expected = pool.core.nextWake
    pool.send(.credentialsChanged)
    #expect(pool.core.nextWake == expected)
  }

  @Test("with a ceiling of one it is ready on the probe's connection alone, and has none to lend")
  func onlyOne() {
    let pool = VirtualPool {
      $0.minConnections = 1
      $0.maxConnections = 1
    }
    pool.advance(by: .seconds(1))
    #expect(pool.isReady)
    let lease = pool.acquire()
    #expect(pool.state(lease) == .refused(.noCapacity))
  }

  @Test("the same seed and the same events give the same effects, in the same order")
  func replay() {
    // All are kept, so that nothing of one lies where something of another one lay.
    var pools: [VirtualPool] = []
    func run() -> [String] {
      let pool = VirtualPool(seed: 42) {
        $0.minConnections = 12
        $0.maxConnections = 20
      }
      pool.advance(by: .seconds(100))
      pool.end(pool.idle[0], .crashed)
      pool.advance(by: .seconds(100))
      pool.drain()
      pool.advance(by: .seconds(30))
      pools.append(pool)
      return pool.log.map { "\($0.at) \($0.effect)" }
    }
    let first = run()
    for _ in 0..<10 { #expect(run() == first ? true : false) }
  }
}
