import Glibc
import PoolCore

/// What one operation of `PoolCore` costs as the pool grows: with 10 to 10,000 callers waiting, and with 10 to 1,000
/// connections. Prints nanoseconds an operation and their ratio to the smallest size; exits 1 if an operation that
/// callers wait for costs more than `bound` times as much at the largest.
@main
struct GrowthBenchmark {
  /// Caches are smaller than a thousand connections with ten thousand waiters: flat is not the same to the digit.
  static let bound = 4.0

  static func main() {
    var isFlat = true
    let waiters = [10, 100, 1000, 10_000]
    isFlat = report("release, next of N waiters granted, one more waits", waiters) { handOver($0) } && isFlat
    isFlat = report("one of N waiters gives up, one more waits", waiters) { giveUp($0) } && isFlat
    isFlat = report("snapshot while N wait", waiters) { look(waiting: $0) } && isFlat
    let connections = [10, 100, 1000]
    isFlat = report("acquire and release, N connections", connections) { lease($0) } && isFlat
    isFlat =
      report("as before, half of them leased, the oldest back first", connections) { rotate($0) } && isFlat
    // Upkeep: nobody waits for it, and how often it is done does not depend on callers.
    _ = report("keep-alive, per connection, N connections", connections) { keepAlive($0) }
    exit(isFlat ? 0 : 1)
  }

  static func report(_ name: String, _ sizes: [Int], _ measure: (Int) -> Double) -> Bool {
    print(name)
    var first: Double?
    var ratio = 1.0
    for size in sizes {
      // The least of five: what else the machine does only adds.
      let cost = (0..<5).map { _ in measure(size) }.min() ?? 0
      ratio = cost / (first ?? cost)
      first = first ?? cost
      print("  N \(padded(size, 6))  \(padded(Int(cost), 7)) ns  \(Double(Int(ratio * 100)) / 100) x")
    }
    return ratio <= bound
  }

  static func padded(_ number: Int, _ width: Int) -> String {
    let text = "\(number)"
    return String(repeating: " ", count: max(0, width - text.utf8.count)) + text
  }

  static func cost(_ operations: Int, _ body: () -> Void) -> Double {
    let took = ContinuousClock().measure(body)
    return Double(took.inNanoseconds) / Double(operations)
  }

  static let rounds = 20_000

  static func handOver(_ waiting: Int) -> Double {
    let pool = Pool(connections: 10, waiting: waiting)
    return cost(rounds) {
      for _ in 0..<rounds {
        pool.releaseOldest()
        pool.acquire()
      }
    }
  }

  static func giveUp(_ waiting: Int) -> Double {
    let pool = Pool(connections: 10, waiting: waiting)
    return cost(rounds) {
      for _ in 0..<rounds {
        pool.abandonMiddle(of: waiting)
        pool.acquire()
      }
    }
  }

  static func look(waiting: Int) -> Double {
    let pool = Pool(connections: 10, waiting: waiting)
    var seen = 0
    let cost = cost(rounds) { for _ in 0..<rounds { seen += pool.core.snapshot(at: pool.now).pool.waiting } }
    precondition(seen == rounds * waiting)
    return cost
  }

  static func lease(_ connections: Int) -> Double {
    let pool = Pool(connections: connections, waiting: 0, leased: 0)
    return cost(rounds) {
      for _ in 0..<rounds {
        pool.acquire()
        pool.releaseOldest()
      }
    }
  }

  static func rotate(_ connections: Int) -> Double {
    let pool = Pool(connections: connections, waiting: 0, leased: connections / 2)
    return cost(rounds) {
      for _ in 0..<rounds {
        pool.releaseOldest()
        pool.acquire()
      }
    }
  }

  static func keepAlive(_ connections: Int) -> Double {
    let pool = Pool(connections: connections, waiting: 0, leased: 0)
    let before = pool.verified
    let took = ContinuousClock().measure { pool.advance(by: .seconds(300)) }
    return Double(took.inNanoseconds) / Double(max(1, pool.verified - before))
  }
}

/// A pool whose server answers everything at once.
final class Pool {
  private(set) var core: PoolCore
  private(set) var now = Instant.origin
  private(set) var verified = 0
  private var effects: [Effect] = []
  private var answers: [Event] = []
  /// Those that hold a connection, the oldest first from `oldest` on.
  private var leased: [(lease: LeaseID, id: ConnectionID)] = []
  private var oldest = 0
  private var last: UInt64 = 0
  private var given: UInt64 = 0

  /// One more is open than `connections`: the probe's own.
  init(connections: Int, waiting: Int, leased wanted: Int? = nil) {
    var settings = PoolSettings()
    settings.minConnections = connections + 1
    settings.maxConnections = connections + 1
    settings.maxWaiting = 1_000_000
    settings.maxLifetime = .seconds(1_000_000)
    settings.idleTimeout = .seconds(1_000_000)
    core = PoolCore(settings: settings, seed: 1, at: .origin)
    send(.begin)
    while core.snapshot(at: now).pool.open <= connections { advance(by: .milliseconds(10)) }
    for _ in 0..<(wanted ?? connections) + waiting { acquire() }
    let pool = core.snapshot(at: now).pool
    precondition(
      pool.waiting == waiting && leased.count == wanted ?? connections, "the pool is not as wanted")
  }

  func acquire() {
    last += 1
    send(.acquire(LeaseID(last), deadline: now + .seconds(100_000)))
  }

  func releaseOldest() {
    let (lease, id) = leased[oldest]
    oldest += 1
    if oldest > 4096 {
      leased.removeFirst(oldest)
      oldest = 0
    }
    send(.release(lease, id, reusable: true, nil))
  }

  /// The one in the middle of the line, as long as those before it have not given up too.
  func abandonMiddle(of waiting: Int) {
    given += 1
    send(.abandon(LeaseID(10 + UInt64(waiting / 2) + given)))
  }

  func advance(by duration: Duration) {
    let end = now + duration
    while let next = core.nextWake, next <= end {
      now = max(now, next)
      send(.wake)
    }
    now = end
  }

  private func send(_ event: Event) {
    core.handle(event, at: now, into: &effects)
    for effect in effects {
      switch effect {
      case .login(let id, _): answers.append(.loggedIn(id, host: HostID(0), took: .milliseconds(1)))
      case .probe(let id): answers.append(.probeAnswered(id))
      case .verify(let id):
        verified += 1
        answers.append(.verified(id))
      case .grant(let lease, let id): leased.append((lease, id))
      default: break
      }
    }
    while let answer = answers.popLast() { send(answer) }
  }
}
