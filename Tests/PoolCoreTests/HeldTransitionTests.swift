import Testing

@testable import PoolCore

@Suite("being held by policy is announced")
struct HeldTransitionTests {
  @Test("a transition of its own says so, also when the instance was degraded before")
  func held() throws {
    let pool = VirtualPool { $0.whenDatabaseLost = .hold(.seconds(3)) }
    pool.advance(by: .seconds(1))
    pool.server.refuse(.refused)
    pool.endAll(.shutDown)
    pool.advance(by: .seconds(5))
    let transitions = pool.core.snapshot(at: pool.now).timeline.drop { $0.to != .ready }
    let names = transitions.map { ["\($0.to)"] + $0.reasons.map(\.name) }
    #expect(names.filter { $0.contains("held") }.count == 1, "\(names)")
    #expect(names.first == ["ready"] && names.last == ["unready", "database_lost"], "\(names)")
  }
}
