import Testing

@testable import PoolCore

@Suite("one of a large fleet, after an outage") struct FleetReturnTests {
  /// A pool that is ready and has counted its fleet.
  private func member(of instances: Int?, min: Int = 3, seed: UInt64 = 1) -> VirtualPool {
    var server = VirtualServer()
    server.slots = 1_000_000
    server.peers = instances.map { ($0 - 1, ($0 - 1) * min) }
    var settings = PoolSettings()
    settings.minConnections = min
    let pool = VirtualPool(settings, seed: seed, server: server)
    pool.advance(within: .seconds(60)) { $0.isReady && $0.roomReadings == 1 }
    pool.advance(by: .seconds(70))
    return pool
  }

  private func lose(_ pool: VirtualPool) {
    pool.clearLog()
    pool.endAll(.server("57P02", at: .idle))
  }

  /// From the first login after everything was lost to each that followed it.
  private func gaps(_ pool: VirtualPool) -> [Duration] {
    lose(pool)
    pool.advance(within: .seconds(300)) { $0.open == 3 }
    return zip(pool.attempts, pool.attempts.dropFirst()).map { $1 - $0 }
  }

  @Test("whoever has its first connection back leaves the server to those that have none", arguments: 1...20)
  func leave(seed: Int) {
    let gaps = gaps(member(of: 10_000, seed: UInt64(seed)))
    #expect(gaps.count == 2)
    // 5 s, and half of that between the others, each ± half.
    #expect(gaps.first.map { .milliseconds(2500)...(.milliseconds(7600)) ~= $0 } == true)
    #expect(gaps.last.map { .milliseconds(1250)...(.milliseconds(3800)) ~= $0 } == true)
  }

  @Test(
    "a few leave nothing to each other, nor does who could not count them", arguments: [1, 2, 20, nil])
  func few(instances: Int?) {
    let gaps = gaps(member(of: instances))
    #expect(gaps.count == 2 && gaps.allSatisfy { $0 <= .milliseconds(10) })
  }

  @Test("once the floor is there again, callers wait for nobody")
  func whole() {
    let pool = member(of: 10_000)
    lose(pool)
    pool.advance(within: .seconds(300)) { $0.open == 3 }
    pool.advance(by: .seconds(2))
    pool.clearLog()
    for _ in 0..<6 { pool.acquire() }
    pool.advance(by: .milliseconds(200))
    #expect(pool.open >= 6)
  }

  /// The waits after logins that failed in this way, one after the other.
  private func waits(
    _ pool: VirtualPool, _ fault: Fault, _ count: Int, lasting latency: Duration? = nil
  ) -> [Duration] {
    pool.server.refuse(fault)
    if let latency { pool.server.loginLatency = latency }
    lose(pool)
    pool.advance(within: .seconds(7200)) { $0.attempts.count == count + 1 }
    let latency = pool.server.loginLatency
    return zip(pool.attempts, pool.attempts.dropFirst()).map { $1 - $0 - latency }
  }

  private static let crowded = Fault(.timedOut, at: .authentication)

  @Test(
    "a login that the server took and did not finish keeps it away for as long as the fleet takes",
    arguments: 1...10)
  func retreat(seed: Int) {
    let waits = waits(member(of: 200, seed: UInt64(seed)), Self.crowded, 4, lasting: .seconds(5))
    let bounds: [ClosedRange<Duration>] = [
      .milliseconds(800)...(.milliseconds(1600)), .milliseconds(3200)...(.milliseconds(6400)),
      .seconds(8)...(.seconds(16)), .seconds(16)...(.seconds(32)),
    ]
    // What any failure costs may be longer: up to 5 s.
    #expect(
      waits.count == 4
        && zip(waits, bounds).allSatisfy { $1.lowerBound <= $0 && $0 <= max($1.upperBound, .seconds(5)) },
      "\(waits)")
  }

  @Test("and never for longer than it has been failing, however large the fleet", arguments: 1...10)
  func boundedRetreat(seed: Int) {
    let waits = waits(member(of: 10_000, seed: UInt64(seed)), Self.crowded, 6, lasting: .seconds(5))
    var trouble = Duration.zero
    for wait in waits {
      trouble += .seconds(5)
      #expect(trouble.scaled(by: 0.5) <= wait && wait <= max(trouble, .seconds(5)), "\(waits)")
      trouble += wait
    }
    #expect(waits.count == 6)
  }

  @Test("who is alone, or hears nothing at all, waits no longer than after any other failure")
  func noRetreat() {
    for (instances, fault) in [(1, Self.crowded), (10_000, Fault.loginTimedOut), (10_000, .refused)] {
      let waits = waits(member(of: instances), fault, 10)
      #expect(waits.count == 10 && waits.allSatisfy { $0 <= .milliseconds(5001) }, "\(waits)")
    }
  }

  @Test("who has never counted its fleet waits up to as long as it has failed, at most a minute")
  func unknown() {
    for seed in UInt64(0)..<20 {
      var server = VirtualServer()
      server.refuse(Self.crowded)
      server.loginLatency = .seconds(5)
      let pool = VirtualPool(PoolSettings(), seed: seed, server: server)
      pool.keepsLog = true
      pool.advance(by: .seconds(3600))
      for (attempt, next) in zip(pool.attempts, pool.attempts.dropFirst()) {
        let failed = attempt + .seconds(5)
        #expect(
          next - failed <= max(.seconds(5), min(.seconds(60), failed - pool.attempts[0])) + .milliseconds(1))
      }
      #expect((60...160).contains(pool.attempts.count), "\(pool.attempts.count)")
    }
  }

  @Test("a fleet is counted anew, soon while it is young, then every hour")
  func counts() {
    let pool = member(of: 50)
    #expect(pool.roomReadings == 1)
    pool.advance(by: .seconds(3600))
    #expect((4...16).contains(pool.roomReadings))
    let readings = pool.roomReadings
    pool.server.peers = (9, 27)
    pool.advance(by: .seconds(10 * 3600))
    #expect((7...20).contains(pool.roomReadings - readings))
    #expect(gaps(pool).allSatisfy { $0 <= .milliseconds(10) })
  }
}
