import EventLoop
import Glibc
import PoolCore
import Postgres
import WarmPool

/// Callers that arrive at a steady rate, whether those before them have been answered or not, and one way of giving
/// each a connection. Prints `ready` when the load begins, and one line of JSON at the end.
///
///     StrategyBenchmark URL SECONDS RATE CONNECTIONS each|fixed|warm
@main
struct StrategyBenchmark {
  static func main() async throws {
    let arguments = CommandLine.arguments
    guard arguments.count == 6, let seconds = Double(arguments[2]), let rate = Double(arguments[3]),
      let connections = Int(arguments[4])
    else { fatalError("StrategyBenchmark URL SECONDS RATE CONNECTIONS each|fixed|warm") }
    let url = arguments[1]
    let strategy: any Strategy =
      switch arguments[5] {
      case "each": try ConnectionPerRequest(url)
      case "fixed": try await FixedPool(url, connections)
      default: try await Warm(url, connections)
      }
    print("ready")
    fflush(nil)

    let clock = ContinuousClock()
    let begin = clock.now
    let outcomes = await withTaskGroup(of: Outcome.self) { group in
      for number in 0..<Int(seconds * rate) {
        let arrives = begin + .seconds(Double(number) / rate)
        try? await clock.sleep(until: arrives)
        group.addTask {
          var outcome = Outcome(arrival: (arrives - begin) / .seconds(1))
          repeat {
            do {
              try await strategy.ask()
              outcome.isAnswered = true
            } catch {
              outcome.failures.append("\(error)")
              try? await clock.sleep(for: Policy.pause * Double.random(in: 0...1))
            }
            outcome.milliseconds = (clock.now - arrives) / .milliseconds(1)
          } while !outcome.isAnswered && clock.now - arrives < Policy.total
          return outcome
        }
      }
      var all: [Outcome] = []
      for await outcome in group { all.append(outcome) }
      return all
    }
    await report(outcomes, opened: strategy.opened())
  }

  private static func report(_ outcomes: [Outcome], opened: Int) {
    let answered = outcomes.filter(\.isAnswered).map(\.milliseconds).sorted()
    let failures = outcomes.flatMap(\.failures)
    func share(_ part: Double) -> Double {
      answered.isEmpty ? .nan : answered[min(Int(Double(answered.count) * part), answered.count - 1)]
    }
    // Without the counts of the moment, which differ each time.
    let kinds = Dictionary(grouping: failures) { text in
      text.replacing(/within [0-9.]+ ?s(econds)?/, with: "in time").prefix { $0 != "(" }
    }
    for (text, same) in kinds.sorted(by: { $0.value.count > $1.value.count }) {
      print("    \(same.count) attempts: \(text)")
    }
    // By when they came: from the first to the last that had to wait for long.
    let late = outcomes.filter { !$0.isAnswered || $0.milliseconds > 500 }
    let disturbed = (late.map(\.arrival).max() ?? 0) - (late.map(\.arrival).min() ?? 0)
    print(
      "{\"answered\": \(answered.count), \"errors\": \(outcomes.count - answered.count), "
        + "\"opened\": \(opened), \"retried\": \(failures.count), \"late\": \(late.count), "
        + "\"disturbed\": \(disturbed), "
        + "\"p50\": \(share(0.5)), \"p99\": \(share(0.99)), \"max\": \(share(1))}")
  }

  private struct Outcome: Sendable {
    /// In seconds.
    var arrival: Double
    var milliseconds = 0.0
    var isAnswered = false
    /// Of each attempt that failed.
    var failures: [String] = []
  }
}

/// What every caller does, whatever gives it a connection: it tries again until it has its answer. The question may be
/// asked twice.
enum Policy {
  /// One attempt to log in at one host.
  static let connect: Duration = .seconds(2)
  /// For a free connection of a pool.
  static let acquire: Duration = .seconds(2)
  /// For the answer.
  static let statement: Duration = .seconds(2)
  /// At most, at random, before the next attempt.
  static let pause: Duration = .milliseconds(100)
  /// From the first wish on; then it gives up.
  static let total: Duration = .seconds(30)
}

/// A way of giving a caller a connection.
protocol Strategy: Sendable {
  func ask() async throws
  /// Connections opened so far.
  func opened() async -> Int
}

private func makeConnector(_ url: String) throws -> Connector {
  let loop = try EventLoop(name: "benchmark")
  try loop.start()
  let database = try Database(
    url: url, passwordFile: nil, applicationName: "benchmark", connectTimeout: Policy.connect, role: .primary)
  return Connector(loop: loop, database: database)
}

/// Opens a connection for each caller, and closes it afterwards.
actor ConnectionPerRequest: Strategy {
  private let connector: Connector
  private var count = 0

  init(_ url: String) throws { connector = try makeConnector(url) }

  func ask() async throws {
    // One connector each: it starts no more attempts once a few hang, and callers know nothing of one another.
    let connection = try await Connector(loop: connector.loop, database: connector.database).login()
    count += 1
    let answer: QueryResult
    do {
      answer = try await connection.query("SELECT 1", timeout: Policy.statement)
    } catch {
      await connection.close()
      throw error
    }
    await connection.close()
    if answer[0, 0] != "1" { throw WrongAnswer() }
  }

  func opened() -> Int { count }
}

/// As many connections as it is given, opened before the first caller comes, handed on in the order of arrival, and
/// neither looked at nor replaced before a caller's question has failed on them; then at once, every 100 ms.
actor FixedPool: Strategy {
  private let connector: Connector
  private var free: [Connection] = []
  private var waiting: [CheckedContinuation<Connection?, Never>] = []
  private var tickets: [UInt64] = []
  private var lastTicket: UInt64 = 0
  private var count = 0

  init(_ url: String, _ size: Int) async throws {
    connector = try makeConnector(url)
    for _ in 0..<size { free.append(try await connector.login()) }
    count = size
  }

  func ask() async throws {
    guard let connection = await take() else { throw TooLate() }
    do {
      let answer = try await connection.query("SELECT 1", timeout: Policy.statement)
      give(connection)
      if answer[0, 0] != "1" { throw WrongAnswer() }
    } catch let error as QueryError where !error.connectionUsable {
      await connection.close()
      Task { await replace() }
      throw error
    } catch {
      give(connection)
      throw error
    }
  }

  func opened() -> Int { count }

  private func take() async -> Connection? {
    if !free.isEmpty { return free.removeFirst() }
    lastTicket += 1
    let ticket = lastTicket
    Task {
      try? await Task.sleep(for: Policy.acquire)
      giveUp(ticket)
    }
    return await withCheckedContinuation {
      waiting.append($0)
      tickets.append(ticket)
    }
  }

  private func giveUp(_ ticket: UInt64) {
    guard let index = tickets.firstIndex(of: ticket) else { return }
    tickets.remove(at: index)
    waiting.remove(at: index).resume(returning: nil)
  }

  private func give(_ connection: Connection) {
    guard !waiting.isEmpty else { return free.append(connection) }
    tickets.removeFirst()
    waiting.removeFirst().resume(returning: connection)
  }

  private func replace() async {
    while true {
      if let connection = try? await connector.login() {
        count += 1
        return give(connection)
      }
      try? await Task.sleep(for: .milliseconds(100))
    }
  }
}

/// This project's.
struct Warm: Strategy {
  private let pool: WarmPool

  init(_ url: String, _ size: Int) async throws {
    var configuration = WarmPool.Configuration(databaseURL: url)
    // One more: the probe's own, which serves nobody.
    configuration.minConnections = size + 1
    configuration.maxConnections = size + 1
    configuration.requireRole = .primary
    configuration.pool.connectTimeout = Policy.connect
    configuration.pool.acquireTimeout = Policy.acquire
    configuration.pool.maxWaiting = 10_000
    let pool = try WarmPool(configuration)
    self.pool = pool
    Task { await pool.run() }
    try await pool.warmed(within: .seconds(30))
    if getenv("STRATEGY_TIMELINE") != nil { Task { try await Self.printTimeline(of: pool) } }
  }

  /// The pool's counts ten times a second, on standard error: to see what a disturbance does to it.
  private static func printTimeline(of pool: WarmPool) async throws {
    let clock = ContinuousClock()
    let begin = clock.now
    while true {
      let snapshot = pool.snapshot
      let counts = snapshot.pool
      let seconds = Double(Int((clock.now - begin) / .milliseconds(10))) / 100
      let line =
        "\(seconds) \(snapshot.phase) open \(counts.open) connecting \(counts.connecting) leased \(counts.leased) "
        + "waiting \(counts.waiting) probe failures \(snapshot.probe.failuresInRow) "
        + "closed \(snapshot.counters.closes)\n"
      _ = line.withCString { write(STDERR_FILENO, $0, strlen($0)) }
      try await clock.sleep(for: .milliseconds(100))
    }
  }

  func ask() async throws {
    let answer = try await pool.withConnection { db in
      try await db.query("SELECT 1", timeout: Policy.statement)[0, 0]
    }
    if answer != "1" { throw WrongAnswer() }
  }

  func opened() async -> Int { pool.snapshot.counters.loginsSucceeded }
}

struct TooLate: Error {}
struct WrongAnswer: Error {}
