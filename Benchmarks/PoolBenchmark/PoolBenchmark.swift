import Glibc
import WarmPool

/// One measurement of the pool, printed as one line of JSON, to be set beside those of other pools.
///
///     PoolBenchmark URL SECONDS WORKERS CONNECTIONS query|lease|acquire loop|tasks
///
/// `query` asks the pool `SELECT 1`, `lease` asks it within `withConnection`; `acquire` asks nothing there. `loop`: the
/// workers are tasks that prefer the pool's executor, `tasks`: they are ordinary ones.
@main
struct PoolBenchmark {
  enum Work: String { case query, lease, acquire }
  enum Place: String { case loop, tasks }

  static func main() async throws {
    let arguments = CommandLine.arguments
    guard arguments.count == 7, let seconds = Double(arguments[2]), let workers = Int(arguments[3]),
      let connections = Int(arguments[4]), let work = Work(rawValue: arguments[5]),
      let place = Place(rawValue: arguments[6])
    else { fatalError("PoolBenchmark URL SECONDS WORKERS CONNECTIONS query|lease|acquire loop|tasks") }

    var configuration = WarmPool.Configuration(databaseURL: arguments[1])
    // One more: the probe's own, which serves nobody.
    configuration.minConnections = connections + 1
    configuration.maxConnections = connections + 1
    configuration.pool.maxWaiting = max(workers, 1)
    configuration.pool.acquireTimeout = .seconds(30)
    let pool = try WarmPool(configuration)
    let running = Task { await pool.run() }
    try await pool.warmed(within: .seconds(30))

    let clock = ContinuousClock()
    let begin = clock.now + .milliseconds(300)
    let end = begin + .seconds(seconds)
    let run: @Sendable () async throws -> Samples = {
      switch work {
      case .query:
        try await queries(clock, begin, end) { try await pool.query("SELECT 1")[0, 0] }
      case .lease:
        try await queries(clock, begin, end) {
          try await pool.withConnection { db in try await db.query("SELECT 1")[0, 0] }
        }
      case .acquire: try await acquisitions(pool, clock, begin, end)
      }
    }
    let meter = Task {
      try await clock.sleep(until: begin)
      let before = Spent.now()
      try await clock.sleep(until: end)
      return Spent.now() - before
    }
    let all = try await withThrowingTaskGroup(of: Samples.self) { group in
      for _ in 0..<workers {
        switch place {
        case .loop: group.addTask(executorPreference: pool.executor) { try await run() }
        case .tasks: group.addTask { try await run() }
        }
      }
      var all: [Samples] = []
      for try await samples in group { all.append(samples) }
      return all
    }
    report(all, spent: try await meter.value, seconds: seconds)
    try await pool.terminate(within: .seconds(1))
    await running.value
  }

  private static func queries(
    _ clock: ContinuousClock, _ begin: ContinuousClock.Instant, _ end: ContinuousClock.Instant,
    _ ask: () async throws -> String?
  ) async throws -> Samples {
    var samples = Samples()
    var asked = clock.now
    while asked < end {
      let answer = try await ask()
      guard answer == "1" else { fatalError("SELECT 1 answered \(answer ?? "nothing")") }
      let now = clock.now
      if asked >= begin { samples.add(now - asked) }
      asked = now
    }
    return samples
  }

  private static func acquisitions(
    _ pool: WarmPool, _ clock: ContinuousClock, _ begin: ContinuousClock.Instant,
    _ end: ContinuousClock.Instant
  ) async throws -> Samples {
    var samples = Samples()
    var asked = clock.now
    while asked < end {
      // Yields while it holds the connection: otherwise nobody would ever find none free.
      try await pool.withConnection { _ in await Task.yield() }
      let now = clock.now
      if asked >= begin { samples.add(now - asked) }
      asked = now
    }
    return samples
  }

  private static func report(_ all: [Samples], spent: Spent, seconds: Double) {
    let latencies = all.flatMap(\.nanoseconds).sorted()
    let counts = all.map(\.nanoseconds.count)
    guard !latencies.isEmpty, let slowest = counts.min() else { fatalError("nothing was answered") }
    let total = Double(latencies.count)
    func microseconds(_ share: Double) -> Double {
      Double(latencies[min(Int(total * share), latencies.count - 1)]) / 1000
    }
    var fields = [
      "\"ops\": \(total / seconds)", "\"p50\": \(microseconds(0.5))", "\"p99\": \(microseconds(0.99))",
      "\"fairness\": \(Double(slowest) * Double(counts.count) / total)",
      "\"cpu\": \(spent.processor * 1e6 / total)",
    ]
    if let allocations = spent.allocations { fields.append("\"allocations\": \(allocations / total)") }
    print("{\(fields.joined(separator: ", "))}")
  }
}

/// How long each of one worker's operations took.
struct Samples: Sendable {
  private(set) var nanoseconds: [UInt32] = []

  init() { nanoseconds.reserveCapacity(1 << 16) }

  mutating func add(_ time: Duration) {
    nanoseconds.append(UInt32(clamping: time.components.attoseconds / 1_000_000_000))
  }
}

/// What the process has used up.
struct Spent: Sendable {
  /// Seconds, of all threads.
  var processor: Double
  /// Nil unless the counter of `scripts/bench.d/pool/allocations.c` is preloaded.
  var allocations: Double?

  static func now() -> Spent {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
    typealias Counter = @convention(c) () -> UInt
    let counter = dlsym(nil, "allocations_so_far").map { unsafeBitCast($0, to: Counter.self) }
    return Spent(
      processor: seconds(usage.ru_utime) + seconds(usage.ru_stime), allocations: counter.map { Double($0()) })
  }

  static func - (a: Spent, b: Spent) -> Spent {
    Spent(
      processor: a.processor - b.processor,
      allocations: a.allocations.flatMap { a in b.allocations.map { a - $0 } })
  }
}
