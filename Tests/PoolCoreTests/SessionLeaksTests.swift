import Testing

@testable import PoolCore

@Suite struct SessionLeaksTests {
  private func leak(_ pid: Int32, _ began: String = "10:00", idleFor seconds: Int = 40) -> SessionLeak {
    SessionLeak(
      pid: pid, transactionBegan: began, applicationName: "app", role: "app", isOwn: false,
      idleFor: .seconds(seconds))
  }

  private func reading(_ leaks: SessionLeak...) -> SessionReading {
    SessionReading(leaks: leaks, scope: .clientAddress, limits: [.ownRoleOnly])
  }

  @Test("a leak is found once and counted once, however long it goes on, and its end is told")
  func once() {
    var leaks = SessionLeaks()
    let first = leaks.take(reading(leak(1), leak(2)), at: .origin)
    #expect(first.found.map(\.pid) == [1, 2] && first.ended.isEmpty)
    let second = leaks.take(reading(leak(1, idleFor: 50)), at: .origin + .seconds(10))
    #expect(second.found.isEmpty && second.ended.map(\.pid) == [2])
    #expect(leaks.total == 2 && leaks.open == [leak(1, idleFor: 50)])
    #expect(leaks.checked == .origin + .seconds(10))
    #expect(leaks.scope == .clientAddress && leaks.limits == [.ownRoleOnly])
  }

  @Test("another transaction of the same process is another leak")
  func another() {
    var leaks = SessionLeaks()
    _ = leaks.take(reading(leak(1, "10:00")), at: .origin)
    let next = leaks.take(reading(leak(1, "11:00")), at: .origin)
    #expect(next.found.count == 1 && next.ended.count == 1 && leaks.total == 2)
  }
}
