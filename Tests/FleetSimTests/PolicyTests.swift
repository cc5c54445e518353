import PoolCore
import Testing

@testable import FleetSim

/// The published figures of each pool that is compared, one by one: a comparison with a straw man would be worth nothing.
@Suite struct PolicyTests {
  /// Starts of logins, with all of them failing at once.
  private func attempts<Policy: LoginPolicy>(
    _: Policy.Type, places: Int = 1, seed: UInt64 = 1, for time: Duration
  ) -> [Instant] {
    var policy = Policy(places: places, random: RandomSource(seed: seed))
    let begin = Instant.origin + .seconds(100)
    var now = begin
    var attempts: [Instant] = []
    for place in 0..<places { policy.vacated(place, at: now) }
    while now <= begin + time {
      while let place = policy.nextLogin(at: now) {
        attempts.append(now)
        policy.failed(place, at: now)
      }
      guard let next = policy.nextWake else { break }
      #expect(next > now)
      now = next
    }
    return attempts
  }

  private func waits(_ attempts: [Instant]) -> [Double] {
    zip(attempts, attempts.dropFirst()).map { ($1 - $0).inSeconds }
  }

  /// Logins that are under way together while none is answered, and how many begin when one has succeeded.
  private func atOnce<Policy: LoginPolicy>(_: Policy.Type, places: Int) -> Int {
    var policy = Policy(places: places, random: RandomSource(seed: 1))
    for place in 0..<places { policy.vacated(place, at: .origin) }
    var count = 0
    while policy.nextLogin(at: .origin) != nil { count += 1 }
    return count
  }

  @Test("each has as many logins under way as its source says")
  func underWay() {
    #expect(atOnce(EverySlotAtOnce.self, places: 30) == 30)
    #expect(atOnce(PostgresNIOPolicy.self, places: 30) == 20)
    #expect(atOnce(HikariCPPolicy.self, places: 30) == 1)
    #expect(atOnce(PsycopgPoolPolicy.self, places: 30) == 3)
    #expect(atOnce(PgBouncerPolicy.self, places: 30) == 1)
  }

  @Test("every slot tries again after 100 ms, each by itself")
  func everySlot() {
    #expect(waits(attempts(EverySlotAtOnce.self, for: .seconds(1))).allSatisfy { $0 == 0.1 })
    #expect(attempts(EverySlotAtOnce.self, places: 10, for: .milliseconds(950)).count == 100)
  }

  @Test("PostgresNIO waits 100 ms × 1.25 for each failure, ± 3 %, at most a minute")
  func postgresNIO() {
    let waits = waits(attempts(PostgresNIOPolicy.self, for: .seconds(600)))
    var wanted = 0.1
    for wait in waits {
      #expect(abs(wait / min(wanted, 60) - 1) <= 0.0301)
      wanted *= 1.25
    }
    #expect(waits.count > 30 && Set(waits).count == waits.count)
  }

  @Test("PostgresNIO tries on with one login after a failure, and opens the rest when that has succeeded")
  func postgresNIORecovers() throws {
    var policy = PostgresNIOPolicy(places: 5, random: RandomSource(seed: 1))
    for place in 0..<5 { policy.vacated(place, at: .origin) }
    var begun: [Int] = []
    while let place = policy.nextLogin(at: .origin) { begun.append(place) }
    for place in begun { policy.failed(place, at: .origin) }
    #expect(policy.nextLogin(at: .origin) == nil)
    let due = try #require(policy.nextWake)
    let retried = policy.nextLogin(at: due)
    let single = try #require(retried)
    #expect(policy.nextLogin(at: due + .seconds(60)) == nil)
    policy.opened(single, at: due)
    var rest = Set<Int>()
    while let place = policy.nextLogin(at: due) { rest.insert(place) }
    #expect(rest.count == 4 && !rest.contains(single))
  }

  @Test("HikariCP waits 10 ms, twice as long each time, at most 5 s, and rests 30 ms after a success")
  func hikariCP() throws {
    var wanted = 0.01
    for wait in waits(attempts(HikariCPPolicy.self, for: .seconds(60))) {
      #expect(abs(wait - min(wanted, 5)) < 1e-6)
      wanted *= 2
    }
    var policy = HikariCPPolicy(places: 2, random: RandomSource(seed: 1))
    for place in 0..<2 { policy.vacated(place, at: .origin) }
    let first = policy.nextLogin(at: .origin)
    policy.opened(try #require(first), at: .origin + .milliseconds(7))
    #expect(policy.nextLogin(at: .origin + .milliseconds(36)) == nil)
    #expect(policy.nextWake == .origin + .milliseconds(37))
    #expect(policy.nextLogin(at: .origin + .milliseconds(37)) != nil)
  }

  @Test(
    "psycopg_pool waits 1 s ± 10 %, doubling without more chance, and gives a connection up after 5 minutes")
  func psycopgPool() {
    let attempts = attempts(PsycopgPoolPolicy.self, for: .seconds(3600))
    let waits = waits(attempts)
    #expect((0.9...1.1).contains(waits[0]))
    for (index, wait) in waits.dropLast().enumerated() {
      #expect(abs(wait / (waits[0] * Double(1 << index)) - 1) < 1e-6)
    }
    #expect(attempts.last == Instant.origin + .seconds(400))
  }

  @Test("PgBouncer waits 15 s from the beginning of a login that failed, as its maintenance sees it")
  func pgBouncer() {
    let waits = waits(attempts(PgBouncerPolicy.self, for: .seconds(300)))
    #expect(waits.count > 15)
    #expect(waits.allSatisfy { (15...15.34).contains($0) })
  }
}
