import PoolCore
import Testing

@Suite struct Smoke {
  @Test("it warms: one scout, the probe, then the rest")
  func warms() {
    var core = PoolCore(settings: PoolSettings(), seed: 1, at: .origin)
    var now = Instant.origin
    var log: [Effect] = core.handle(.begin, at: now)
    print(log)
    now = now + .milliseconds(2)
    log = core.handle(.loggedIn(ConnectionID(1), host: HostID(0), took: .milliseconds(2)), at: now)
    print(log)
    log = core.handle(.probeAnswered(ConnectionID(1)), at: now)
    print(log)
    log = core.handle(.loggedIn(ConnectionID(2), host: HostID(0), took: .milliseconds(2)), at: now)
    print(log)
    #expect(core.snapshot(at: now).verdict(at: now).isReady)
    log = core.handle(.ended(ConnectionID(2), Fault(.server(.adminShutdown), at: .idle)), at: now)
    print(log)
    log = core.handle(.probeAnswered(ConnectionID(1)), at: now)
    print(log, core.snapshot(at: now))
    #expect(core.snapshot(at: now).verdict(at: now).isDegraded)
  }
}
