import PoolCore
import Testing

@testable import FleetSim

@Suite struct AgendaTests {
  @Test("what is to happen comes in the order of time, and in the order of adding where times are the same")
  func order() {
    var random = RandomSource(seed: 1)
    var agenda = Agenda()
    var wanted: [(at: Int64, number: Int32)] = []
    var taken: [(at: Int64, number: Int32)] = []
    func take() {
      guard let entry = agenda.takeNext(), case .wake(let number) = entry.item else { return }
      taken.append((entry.at.nanoseconds, number))
    }
    for number in 0..<2000 {
      let at = Int64.random(in: 0..<100, using: &random)
      agenda.add(.wake(seat: Int32(number)), at: Instant(nanoseconds: at))
      wanted.append((at, Int32(number)))
    }
    while agenda.count > 0 { take() }
    wanted.sort { ($0.at, $0.number) < ($1.at, $1.number) }
    #expect(taken.map(\.at) == wanted.map(\.at))
    #expect(taken.map(\.number) == wanted.map(\.number))
    #expect(agenda.takeNext().map(\.at) == nil)
    #expect(agenda.next == nil)
  }

  @Test("adding between taking keeps the order")
  func interleaved() {
    var random = RandomSource(seed: 2)
    var agenda = Agenda()
    var last = Int64.min
    for _ in 0..<5000 {
      let now = max(last, 0)
      for _ in 0..<Int.random(in: 0...2, using: &random) {
        agenda.add(
          .wake(seat: 0), at: Instant(nanoseconds: now + Int64.random(in: 0..<1000, using: &random)))
      }
      guard let entry = agenda.takeNext() else { continue }
      #expect(entry.at.nanoseconds >= last)
      last = entry.at.nanoseconds
    }
  }
}
