import Glibc
import PoolCore
import Testing

@testable import Health

@Suite("those who ask for readiness again and again") struct ProbersTests {
  private let probers = Probers(mustSee: 3)
  private static let far = IPAddress.v4(0x0A00_0007)

  private func ask(
    _ state: State = .ready, from address: IPAddress? = far, _ dialect: Probers.Dialect = .http,
    agent: String? = nil, at seconds: Double
  ) {
    var observation = state.observation
    observation.now = .origin + .seconds(seconds)
    probers.asked(by: address, dialect, userAgent: agent, observation)
  }

  private func states(at seconds: Double) -> [Probers.Prober.State] {
    probers.all(at: .origin + .seconds(seconds)).map(\.state)
  }

  private func allTold(at seconds: Double) -> Bool { probers.allTold(at: .origin + .seconds(seconds)) }

  @Test("one that has asked three times is waited for until it was told three times")
  func told() {
    ask(at: 0)
    ask(at: 2)
    #expect(states(at: 2) == [.new] && allTold(at: 2))
    ask(at: 4)
    #expect(states(at: 4) == [.active] && !allTold(at: 4))
    for (time, last) in [(6.0, false), (8, false), (10, true)] {
      ask(.draining, at: time)
      #expect(allTold(at: time) == last)
    }
    #expect(states(at: 10) == [.told])
    // A resume: the next drain begins anew.
    ask(at: 12)
    #expect(states(at: 12) == [.active])
    #expect(probers.all(at: .origin + .seconds(12)).first?.told == 0)
  }

  @Test("one that is silent for three of its intervals is not waited for")
  func silent() {
    for time in [0.0, 2, 4] { ask(at: time) }
    #expect(!allTold(at: 10))
    #expect(states(at: 10.1) == [.silent] && allTold(at: 10.1))
    // Of one that asks now and then the longest interval counts.
    for time in [20.0, 21, 26, 27] { ask(at: time) }
    #expect(!allTold(at: 41))
  }

  @Test("what says no before a drain has told nobody of it")
  func notOfADrain() {
    for time in [0.0, 2, 4, 6, 8] { ask(.lost, at: time) }
    #expect(states(at: 8) == [.active])
  }

  @Test("this machine, a Unix socket and the kubelet do not count; another dialect from one address does")
  func excluded() {
    for time in [0.0, 2, 4] {
      ask(from: IPAddress.v4(0x7F00_0001), at: time)
      ask(from: nil, at: time)
      ask(agent: "kube-probe/1.33", at: time)
    }
    #expect(states(at: 4) == [])
    for time in [0.0, 2, 4] {
      ask(agent: "ELB-HealthChecker/2.0", at: time)
      ask(from: Self.far, .agent, at: time)
    }
    #expect(
      probers.all(at: .origin + .seconds(4)).map(\.dialect).sorted { $0.rawValue < $1.rawValue } == [
        .agent, .http,
      ])
  }

  @Test("however many ask, 64 are known, and who asks regularly is not driven out")
  func bounded() {
    for time in [0.0, 2, 4] { ask(at: time) }
    for address in 0..<10_000 as Range<UInt32> { ask(from: .v4(0x0B00_0000 + address), at: 5) }
    let all = probers.all(at: .origin + .seconds(5))
    #expect(all.count == Probers.most)
    #expect(all.contains { $0.address == "10.0.0.7" && $0.state == .active })
  }

  @Test("zero times to be told is to wait for nobody, and to know nobody")
  func off() {
    let probers = Probers(mustSee: 0)
    for _ in 0..<5 { probers.asked(by: Self.far, .http, State.ready.observation) }
    #expect(probers.all(at: .origin).isEmpty && probers.allTold(at: .origin))
  }

  @Test("an address reads as people write it, whichever way it came")
  func addresses() {
    #expect(Self.far.description == "10.0.0.7")
    #expect(IPAddress.v4(0x7F00_0001).isLoopback && !Self.far.isLoopback)
    var name = sockaddr_in6()
    name.sin6_family = sa_family_t(AF_INET6)
    for (text, shown, loopback) in [
      ("::1", "::1", true), ("::ffff:127.0.0.1", "127.0.0.1", true), ("2001:db8::7", "2001:db8::7", false),
      ("::ffff:10.0.0.7", "10.0.0.7", false),
    ] {
      inet_pton(AF_INET6, text, &name.sin6_addr)
      let address = withUnsafePointer(to: &name) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { IPAddress($0) }
      }
      #expect(address?.description == shown && address?.isLoopback == loopback)
    }
  }
}
