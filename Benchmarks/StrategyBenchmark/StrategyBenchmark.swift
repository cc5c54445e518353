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
          var failure: String?
          do { try await strategy.ask() } catch { failure = "\(error)" }
          return Outcome(milliseconds: (clock.now - arrives) / .milliseconds(1), failure: failure)
        }
      }
      var all: [Outcome] = []
      for await outcome in group { all.append(outcome) }
      return all
    }
    await report(outcomes, opened: strategy.opened())
  }

  private static func report(_ outcomes: [Outcome], opened: Int) {
    let answered = outcomes.filter { $0.failure == nil }.map(\.milliseconds).sorted()
    let failures = outcomes.compactMap(\.failure)
    func share(_ part: Double) -> Double {
      answered.isEmpty ? .nan : answered[min(Int(Double(answered.count) * part), answered.count - 1)]
    }
    for (text, count) in Dictionary(grouping: failures, by: { $0.prefix(60) }).mapValues(\.count) {
      print("    \(count) × \(text)")
    }
    print(
      "{\"answered\": \(answered.count), \"errors\": \(failures.count), \"opened\": \(opened), "
        + "\"p50\": \(share(0.5)), \"p99\": \(share(0.99)), \"max\": \(share(1))}")
  }

  private struct Outcome: Sendable {
    var milliseconds: Double
    var failure: String?
  }
}

/// A way of giving a caller a connection.
protocol Strategy: Sendable {
  func ask() async throws
  /// Connections opened so far.
  func opened() async -> Int
}

/// How long every strategy lets a caller wait before it has sent its question.
let patience: Duration = .seconds(2)

private func makeConnector(_ url: String) throws -> Connector {
  let loop = try EventLoop(name: "benchmark")
  try loop.start()
  let database = try Database(
    url: url, passwordFile: nil, applicationName: "benchmark", connectTimeout: patience, role: .primary)
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
    let answer = try await connection.query("SELECT 1")
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
      let answer = try await connection.query("SELECT 1")
      give(connection)
      if answer[0, 0] != "1" { throw WrongAnswer() }
    } catch let error as QueryError where !error.connectionUsable {
      await connection.close()
      Task { await replace() }
      throw error
    }
  }

  func opened() -> Int { count }

  private func take() async -> Connection? {
    if !free.isEmpty { return free.removeFirst() }
    lastTicket += 1
    let ticket = lastTicket
    Task {
      try? await Task.sleep(for: patience)
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
    configuration.pool.connectTimeout = patience
    configuration.pool.acquireTimeout = patience
    configuration.pool.maxWaiting = 10_000
    let pool = try WarmPool(configuration)
    self.pool = pool
    Task { await pool.run() }
    try await pool.warmed(within: .seconds(30))
  }

  func ask() async throws {
    let answer = try await pool.withConnection { db in try await db.query("SELECT 1")[0, 0] }
    if answer != "1" { throw WrongAnswer() }
  }

  func opened() async -> Int { pool.snapshot.counters.loginsSucceeded }
}

struct TooLate: Error {}
struct WrongAnswer: Error {}
