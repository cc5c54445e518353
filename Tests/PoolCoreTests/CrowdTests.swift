import Testing

@testable import PoolCore

@Suite("a crowd before the server") struct CrowdTests {
  private func pool(_ latency: Duration, min: Int = 6, seed: UInt64 = 1) -> VirtualPool {
    var server = VirtualServer()
    server.loginLatency = latency
    var settings = PoolSettings()
    settings.minConnections = min
    return VirtualPool(settings, seed: seed, server: server)
  }

  /// The most logins that were under way at one moment until the floor was reached.
  private func most(_ pool: VirtualPool) -> Int {
    var most = 0
    pool.advance(within: .seconds(600)) {
      most = max(most, $0.connecting.count)
      return $0.isReady
    }
    return most
  }

  @Test("is not seen in logins that are quick, or slow by nature")
  func none() {
    #expect(most(pool(.milliseconds(2))) == 2)
    #expect(most(pool(.milliseconds(99))) == 2)
    #expect(most(pool(.milliseconds(499))) == 2)
    // As slow as it is, nothing waits in between.
    let slow = pool(.milliseconds(1400), min: 3)
    slow.advance(within: .seconds(60)) { $0.isReady }
    #expect(slow.elapsed == .milliseconds(3 * 1400 + 1))
  }

  @Test("is seen in logins that take four times as long as they did, and half a second: one at a time then")
  func oneAtATime() {
    #expect(most(pool(.milliseconds(500))) == 1)
    let pool = pool(.milliseconds(30), min: 10)
    pool.advance(within: .seconds(5)) { $0.open == 3 }
    pool.server.loginLatency = .milliseconds(130)
    pool.advance(within: .seconds(5)) { $0.open == 6 }
    #expect(most(pool) == 1)
    #expect(pool.isReady)
  }

  @Test("is left alone for longer than the queue is long, each instance for another time", arguments: 1...20)
  func pauses(seed: Int) {
    let pool = pool(.milliseconds(3500), min: 4, seed: UInt64(seed))
    pool.advance(within: .seconds(600)) { $0.isReady }
    let pauses = zip(pool.attempts, pool.attempts.dropFirst()).map { $1 - $0 - .milliseconds(3500) }
    #expect(pauses.count == 3)
    // 8 s on average; the room is read within the first.
    for pause in pauses { #expect(.milliseconds(5600)...(.milliseconds(10_400)) ~= pause) }
    #expect(Set(pauses).count > 1)
  }

  @Test("makes nobody wait who has no connection at all")
  func scout() {
    let pool = pool(.milliseconds(4900), min: 4)
    pool.advance(within: .seconds(10)) { $0.open == 1 }
    pool.advance(by: .milliseconds(10))
    pool.clearLog()
    pool.server.loginLatency = .milliseconds(2)
    pool.endAll(.server("57P05", at: .idle))
    #expect(pool.advance(within: .seconds(1)) { $0.open == 1 } != nil)
    // And one quick login ends the caution.
    #expect(pool.advance(within: .seconds(1)) { $0.isReady } != nil)
  }

  @Test("costs a pause that grows faster than the queue, up to twice the patience")
  func rule() {
    let patience: Duration = .seconds(5)
    #expect(Crowd.pause(took: .milliseconds(1500), patience: patience) == .zero)
    func near(_ took: Duration, _ seconds: Double) -> Bool {
      let pause = Crowd.pause(took: took, patience: patience)
      return abs(Double(pause.inNanoseconds) / 1e9 - seconds) < 0.05
    }
    #expect(near(.milliseconds(2500), 1) && near(.milliseconds(3500), 8))
    #expect(near(.seconds(4), 10) && near(.seconds(5), 10) && near(.seconds(50), 10))
    #expect(Crowd.pause(took: .seconds(1), patience: .zero) == .zero)
  }
}
