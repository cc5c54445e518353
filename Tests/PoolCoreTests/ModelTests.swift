import Foundation
import Testing

@testable import PoolCore

/// Random sequences of operations against `PoolCore` and against `ReferencePool`, which predicts what the rules leave
/// no choice about. The lives of `RandomisedTests` are longer and go through more; these are judged by another mind.
///
/// Every run has the same sequences, as `RandomisedTests` has the same lives, and the same variables change that.
@Suite struct Model {
  @Test("ten thousand random sequences do what the simplest pool would do")
  func sequences() {
    let environment = ProcessInfo.processInfo.environment
    let replayed = environment["WARMGATE_TEST_SEED"].flatMap(UInt64.init)
    let count = replayed == nil ? environment["WARMGATE_TEST_LIVES"].flatMap(UInt64.init) ?? 10_000 : 1
    let first = replayed ?? firstSeed()
    print("\(count) sequences from seed \(first)")
    var (grants, timeouts, full) = (0, 0, 0)
    for seed in first..<(first + count) {
      let sequence = OperationSequence(seed: seed)
      sequence.run()
      if let problem = sequence.problems.first {
        Issue.record("WARMGATE_TEST_SEED=\(seed): \(problem), and \(sequence.problems.count - 1) more")
        return
      }
      grants += Int(sequence.core.counters.leases)
      timeouts += Int(sequence.core.counters.acquireFailures["timed_out"] ?? 0)
      full += Int(sequence.core.counters.acquireFailures["queue_full"] ?? 0)
    }
    print("\(grants) grants, \(timeouts) time-outs, \(full) refusals at a full queue")
    // The sequences are worth something only if they get somewhere.
    guard replayed == nil else { return }
    #expect(grants > Int(count) * 2)
    #expect(timeouts > Int(count) / 10)
    #expect(full > Int(count) / 100)
  }
}

/// One random sequence of operations, with a server that answers after a random time.
private final class OperationSequence {
  private(set) var core: PoolCore
  private var model: ReferencePool
  private var now = Instant.origin
  private var random: RandomSource
  private var pending: [(at: Instant, event: Event, id: ConnectionID)] = []
  private var effects: [Effect] = []
  private var lastLease: UInt64 = 0
  private var refuses = false
  private(set) var problems: [String] = []

  init(seed: UInt64) {
    random = RandomSource(seed: seed)
    var settings = PoolSettings()
    settings.minConnections = Int(1 + random.next() % 4)
    settings.maxConnections = settings.minConnections + Int(random.next() % 4)
    settings.maxWaiting = [0, 1, 3, 20, nil][Int(random.next() % 5)]
    // Age is the subject of other tests; here it would only make what is kept unpredictable.
    settings.maxLifetime = .seconds(36_000)
    settings.idleTimeout = .seconds(36_000)
    settings.drainDelay = .zero
    core = PoolCore(settings: settings, seed: seed, at: .origin)
    model = ReferencePool(settings)
  }

  func run() {
    send(.begin)
    if random.next() % 5 != 0 { advance(by: .seconds(2)) }
    for _ in 0..<60 where problems.isEmpty { act() }
    if problems.isEmpty { finish() }
  }

  private func chance(_ percent: UInt64) -> Bool { random.next() % 100 < percent }

  private func act() {
    switch random.next() % 100 {
    case 0..<40: acquire()
    case 40..<60:
      if let one = model.leased.randomElement(using: &random) { release(one) }
    case 60..<66:
      if let waiter = model.line.randomElement(using: &random) { send(.abandon(waiter.lease)) }
    case 66..<68:
      // Too late: it has been granted already, and keeps what it has.
      if let one = model.leased.randomElement(using: &random) { send(.abandon(one.lease)) }
    case 68..<90: advance(by: random.duration(from: .zero, to: .milliseconds(chance(80) ? 30 : 3000)))
    case 90..<93: if let id = model.open.randomElement(using: &random) { end(id) }
    case 93..<94:
      model.isTroubled = true
      refuses.toggle()
    case 94..<95:
      if let one = model.leased.randomElement(using: &random) { release(one, reusable: false) }
    case 95..<96:
      model.isDraining = true
      send(.drain(deadline: now + .seconds(5)))
    case 96..<98:
      guard model.isDraining else { return }
      send(.resume)
      model.isDraining = false
    default: send(.wake)
    }
  }

  private func acquire() {
    lastLease += 1
    let patience = random.duration(from: .milliseconds(-1), to: chance(50) ? .milliseconds(20) : .seconds(3))
    send(.acquire(LeaseID(lastLease), deadline: now + patience))
  }

  private func release(_ one: (lease: LeaseID, id: ConnectionID), reusable: Bool = true) {
    send(.release(one.lease, one.id, reusable: reusable, nil))
  }

  private func end(_ id: ConnectionID) {
    guard model.find(id)?.isDead == false else { return }
    model.isTroubled = true
    pending.removeAll { $0.id == id }
    send(.ended(id, Fault(.closed, at: .idle)))
  }

  /// Faults end, everybody gives back: the floor is regained, then a drain leaves nothing.
  private func finish() {
    refuses = false
    if model.isDraining {
      send(.resume)
      model.isDraining = false
    }
    for one in model.leased { release(one) }
    advance(by: .seconds(120))
    for one in model.leased { release(one) }
    let floor = core.settings.minConnections
    if model.open.count < floor { problems.append("\(model.open.count) open, the floor is \(floor)") }
    if !model.line.isEmpty { problems.append("\(model.line.count) wait beyond any deadline") }
    for (lease, count) in model.ends where count != 1 { problems.append("\(lease) ended \(count) times") }
    model.isDraining = true
    send(.drain(deadline: now + .seconds(5)))
    advance(by: .seconds(6))
    if core.phase != .drained || !model.connections.isEmpty {
      problems.append("\(core.phase) with \(model.connections.count) connections after a drain")
    }
  }

  private func advance(by duration: Duration) {
    let end = now + duration
    var steps = 0
    while problems.isEmpty, steps < 10_000 {
      steps += 1
      let answer = pending.indices.min { pending[$0].at < pending[$1].at }
      let wake = core.nextWake ?? .distantFuture
      if let answer, pending[answer].at <= end, pending[answer].at <= wake {
        let next = pending.remove(at: answer)
        now = max(now, next.at)
        send(next.event)
      } else if wake <= end {
        now = max(now, wake)
        send(.wake)
      } else {
        break
      }
    }
    if steps == 10_000 { problems.append("time does not move on") }
    now = end
  }

  private func send(_ event: Event) {
    guard problems.isEmpty else { return }
    let probe = core.probeConnection
    core.handle(event, at: now, into: &effects)
    model.apply(event, effects, probe: probe, at: now)
    for effect in effects { carryOut(effect) }
    for problem in model.problems.found { problems.append("\(problem) (after \(event) at \(now - .origin))") }
    let counts = (core.members.count, core.queue.count, core.members.leased)
    let expected = (model.connections.count, model.line.count, model.leased.count)
    if counts != expected {
      problems.append("\(counts) connections, waiters, leases; the model has \(expected)")
    }
    if core.counters.impossibleEvents > 0 { problems.append("an impossible event") }
  }

  private func carryOut(_ effect: Effect) {
    let soon = now + random.duration(from: .zero, to: .milliseconds(10))
    switch effect {
    case .login(let id, _):
      let fails = refuses
      let fault = Fault(.refused, at: .tcp)
      pending.append(
        (soon, fails ? .loginFailed(id, fault) : .loggedIn(id, host: HostID(0), took: .milliseconds(5)), id))
    case .probe(let id): pending.append((soon, .probeAnswered(id), id))
    case .verify(let id): pending.append((soon, .verified(id), id))
    case .close(let id, _), .abandonLogin(let id): pending.removeAll { $0.id == id }
    default: break
    }
  }
}
