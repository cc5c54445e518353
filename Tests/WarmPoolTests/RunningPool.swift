import PoolCore
import Support
import Synchronization
import WarmPool

/// A pool that runs for the time of a test, with what it told its owner.
struct RunningPool: Sendable {
  let pool: WarmPool
  private let events = Events()

  private final class Events: Sendable {
    let all = Mutex<[PoolEvent]>([])
  }

  init(_ postgres: TestPostgres, _ change: (inout WarmPool.Configuration) -> Void = { _ in }) throws {
    var configuration = WarmPool.Configuration(databaseURL: postgres.unixURL)
    configuration.applicationName = "warmgate/test"
    configuration.pool.drainDelay = .milliseconds(50)
    configuration.pool.drainTimeout = .seconds(10)
    change(&configuration)
    let events = events
    pool = try WarmPool(configuration) { event in events.all.withLock { $0.append(event) } }
  }

  var transitions: [Transition] {
    events.all.withLock { all in
      all.compactMap { if case .transition(let transition) = $0 { transition } else { nil } }
    }
  }

  var phases: [Snapshot.Phase] { transitions.map(\.to) }

  /// The states of the breaker, in order.
  var breakers: [BreakerReport.State] {
    events.all.withLock { all in
      all.compactMap { if case .breaker(let report, _) = $0 { report.state } else { nil } }
    }
  }

  /// Why it warmed without a ticket, each time.
  var warmedWithoutTicket: [String] {
    events.all.withLock { all in
      all.compactMap {
        guard case .noTicket(let report) = $0 else { return nil }
        return if case .unavailable(let why) = report.state { why } else { "none was free" }
      }
    }
  }

  /// A lease that was held for too long, or has come back after it was.
  struct Leak: Equatable, Sendable {
    var lease: LeaseID
    var held: Duration
    var site: String?
    var task: String?
  }

  var leaks: [Leak] {
    events.all.withLock { all in
      all.compactMap {
        guard case .leaked(let lease, _, let held, let site) = $0 else { return nil }
        return Leak(lease: lease, held: held, site: site.map { "\($0.fileID):\($0.line)" }, task: site?.task)
      }
    }
  }

  var leaksReturned: [Leak] {
    events.all.withLock { all in
      all.compactMap {
        guard case .leakReturned(let lease, _, let held, let site) = $0 else { return nil }
        return Leak(lease: lease, held: held, site: site.map { "\($0.fileID):\($0.line)" }, task: site?.task)
      }
    }
  }

  /// Whenever all connections were given up together.
  var retirements: [Retirement] {
    events.all.withLock { all in
      all.compactMap { if case .retired(let retirement) = $0 { retirement } else { nil } }
    }
  }

  /// What was said of a server that does not tell which cluster it is.
  var clustersHidden: [Fault] {
    events.all.withLock { all in
      all.compactMap { if case .clusterHidden(let fault) = $0 { fault } else { nil } }
    }
  }

  /// The server's processes of the leaks at the server that were reported, in order.
  var leaked: [Int32] {
    events.all.withLock { all in
      all.compactMap { if case .sessionLeaked(let leak) = $0 { leak.pid } else { nil } }
    }
  }

  /// The same for their ends.
  var leaksEnded: [Int32] {
    events.all.withLock { all in
      all.compactMap { if case .sessionLeakEnded(let leak) = $0 { leak.pid } else { nil } }
    }
  }

  var verdict: Verdict { pool.snapshot.verdict(at: WarmPool.now()) }
}

extension RunningPool {
  /// Runs it for the time of `body`, and ends it whatever happens there.
  func whileItRuns<Result>(_ body: (WarmPool) async throws -> Result) async throws -> Result {
    async let life: Void = pool.run()
    do {
      let result = try await body(pool)
      _ = try? await pool.terminate(within: .seconds(1))
      await life
      return result
    } catch {
      _ = try? await pool.terminate(within: .seconds(1))
      await life
      throw error
    }
  }
}

/// Runs a pool on a PostgreSQL of its own, and ends both whatever happens.
func withPool<Result>(
  postgres settings: [String: String] = [:], _ change: (inout WarmPool.Configuration) -> Void = { _ in },
  _ body: (RunningPool, TestPostgres) async throws -> Result
) async throws -> Result {
  try await withPostgres(settings) { postgres in
    let running = try RunningPool(postgres, change)
    return try await running.whileItRuns { _ in try await body(running, postgres) }
  }
}

/// The first value of a statement on a connection of the pool.
func ask(_ pool: WarmPool, _ sql: String) async throws -> String? {
  try await pool.withConnection { db in try await db.query(sql)[0, 0] }
}
