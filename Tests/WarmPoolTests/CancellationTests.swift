import PoolCore
import Support
import Testing

@testable import WarmPool

/// A task that uses the pool may be cancelled wherever it waits.
@Suite(.timeLimit(.minutes(10))) struct CancellationTests {
  /// Where the task waits when it is cancelled.
  enum Point: String, CaseIterable, CustomTestStringConvertible {
    case queue = "in the queue"
    case queueForAnswer = "in the queue, for the answer to a statement"
    case check = "while its connection is asked whether it works"
    case tag = "while its session is named"
    case statement = "in a statement"
    case prepared = "in a statement that is prepared there already"
    case poolsOwn = "in a statement that the pool asks by itself"
    case poolsFirst = "in a statement that the pool does not know yet"
    case between = "between two statements"
    case exchange = "while another connection is opened in place of a dead one"
    case answered = "in a statement whose answer is on its way"
    case pipeline = "in a batch"
    case stream = "in a stream"
    case begin = "in BEGIN"
    case commit = "in COMMIT"
    case rollback = "in ROLLBACK"
    case savepoint = "in SAVEPOINT"
    case reset = "while its session is reset"
    case retry = "between two attempts of a transaction"
    case warmed = "until the pool is warm"
    case drain = "until the pool is drained"

    var testDescription: String { rawValue }
  }

  private struct Refused: Error {}

  @Test(
    "a task cancelled anywhere leaves the pool whole: its floor, nothing lent, nobody waiting, no session left over",
    arguments: Point.allCases)
  func cancelled(_ point: Point) async throws {
    try await withPostgres { postgres in
      let proxy = try FaultProxy(to: postgres.port, seed: 1)
      let running = try RunningPool(postgres) {
        $0.databaseURL = "postgresql://postgres:\(TestPostgres.password)@127.0.0.1:\(proxy.port)/postgres"
        $0.minConnections = 3
        $0.maxConnections = 3
        $0.pool.acquireTimeout = .seconds(30)
        $0.pool.maxWaiting = 100
        // Nothing else is to happen meanwhile.
        $0.pool.probeInterval = .seconds(60)
        $0.pool.drainDelay = .seconds(2)
      }
      async let life: Void = running.pool.run()
      try await running.pool.warmed(within: .seconds(20))
      let scene = Scene(pool: running.pool, postgres: postgres, proxy: proxy)
      try await scene.play(point)
      proxy.heal()
      try await scene.expectWhole()
      #expect(running.pool.snapshot.counters.leases > 0)
      _ = try? await running.pool.terminate(within: .seconds(1))
      await life
      #expect(await eventually { try await postgres.sessions(like: "warmgate/test") == 0 })
      proxy.close()
    }
  }

  @Test(
    "a waiter that is cancelled while a connection is handed to it takes it or leaves it, and it is not lost")
  func handedOver() async throws {
    try await withPool({ $0.maxConnections = 2 }) { running, postgres in
      try await running.pool.warmed(within: .seconds(20))
      let pool = running.pool
      var served = 0
      for round in 0..<300 {
        let (holds, release) = AsyncStream.makeStream(of: Void.self)
        // The snapshot may still count the lease of the round before.
        let (begins, begin) = AsyncStream.makeStream(of: Void.self)
        let holder = Task {
          try await pool.withConnection { _ in
            begin.finish()
            for await _ in holds {}
          }
        }
        for await _ in begins {}
        let waiter = Task {
          do {
            return try await pool.withConnection(timeout: .seconds(30)) { _ in true }
          } catch is CancellationError { return false }
        }
        #expect(await eventually(every: .microseconds(200)) { pool.snapshot.pool.waiting == 1 })
        // Both at once, now the one first and now the other.
        if round % 2 == 0 {
          release.finish()
          for _ in 0..<(round % 7) { await Task.yield() }
          waiter.cancel()
        } else {
          let cancel = Task { waiter.cancel() }
          release.finish()
          await cancel.value
        }
        if try await waiter.value { served += 1 }
        try await holder.value
      }
      #expect(await eventually { pool.snapshot.pool.leased == 0 && pool.snapshot.pool.waiting == 0 })
      #expect(pool.snapshot.counters.leases >= 300 + served)
      #expect(pool.snapshot.pool.open == 2 && pool.snapshot.counters.closes.isEmpty)
      #expect(pool.snapshot.counters.impossibleEvents == 0)
      #expect(try await postgres.sessions(like: "warmgate/test") == 2)
    }
  }

  @Test(
    "a task cancelled while its connection still answers a question of the pool's own has nothing asked there"
  )
  func besideAQuestion() async throws {
    try await withPool({
      $0.minConnections = 2
      $0.maxConnections = 2
      // No other question comes in between.
      $0.pool.probeInterval = .seconds(60)
    }) { running, _ in
      let pool = running.pool
      try await pool.warmed(within: .seconds(20))
      #expect(await eventually { pool.snapshot.room.reading != nil })
      let statement = "SELECT pg_sleep($1::int)"
      // Until it is prepared on the connection that is not the probe's.
      for _ in 0..<9 { _ = try await pool.query(statement, [0]) }
      let (answers, answer) = AsyncStream.makeStream(of: Void.self)
      await pool.askNextToBeLent(until: answers)
      let task = Task { _ = try await pool.query(statement, [5]) }
      #expect(await eventually(every: .milliseconds(1)) { pool.snapshot.pool.leased == 1 })
      task.cancel()
      answer.finish()
      await #expect(throws: CancellationError.self) { try await task.value }
      #expect(await eventually { pool.snapshot.pool.leased == 0 })
      #expect(pool.snapshot.counters.closes.isEmpty)
      #expect(try await pool.query(statement, [0]).rows.count == 1)
    }
  }

  /// The pool, a server whose replies can be held up, and what is seen at the server itself.
  private struct Scene {
    let pool: WarmPool
    let postgres: TestPostgres
    let proxy: FaultProxy

    func play(_ point: Point) async throws {
      switch point {
      case .queue: try await inQueue { _ = try await pool.withConnection(timeout: .seconds(60)) { _ in } }
      case .queueForAnswer: try await inQueue { _ = try await pool.query("SELECT 1") }
      case .check:
        let idle = ContinuousClock.now + .milliseconds(1100)
        #expect(await eventually { ContinuousClock.now > idle })
        try await cancel(at: "query = ''", slow: true) {
          try await pool.withConnection { db in _ = try await db.query("SELECT 'used'") }
        }
      case .tag:
        try await cancel(at: "query LIKE 'SELECT set_config%'", slow: true) {
          try await pool.withConnection(tag: "warmgate/test tagged") { db in
            _ = try await db.query("SELECT 'used'")
          }
        }
      case .statement:
        try await cancel(at: "wait_event = 'PgSleep'") {
          try await pool.withConnection { db in _ = try await db.query("SELECT pg_sleep(600)") }
        }
      case .prepared:
        try await cancel(at: "wait_event = 'PgSleep'") {
          try await pool.withConnection { db in
            for time in [0, 0, 0, 600] {
              _ = try await db.query("SELECT pg_sleep($1::int)", [Parameter(time)])
            }
          }
        }
      case .poolsOwn:
        try await cancel(at: "wait_event = 'PgSleep'") {
          // Until each connection has it prepared.
          for _ in 0..<9 { _ = try await pool.query("SELECT pg_sleep($1::int)", [0]) }
          _ = try await pool.query("SELECT pg_sleep($1::int)", [600])
        }
      case .poolsFirst:
        try await cancel(at: "wait_event = 'PgSleep'") { _ = try await pool.query("SELECT pg_sleep(600)") }
      case .between: try await betweenStatements()
      case .exchange: try await whileExchanging()
      case .answered:
        try await cancel(at: "query = 'SELECT 7'", slow: true) {
          try await pool.withConnection { db in _ = try await db.query("SELECT 7") }
        }
      case .pipeline:
        try await cancel(at: "wait_event = 'PgSleep'") {
          try await pool.withConnection { db in
            _ = try await db.pipeline([Statement("SELECT 1"), Statement("SELECT pg_sleep(600)")])
          }
        }
      case .stream:
        try await cancel(at: "wait_event = 'PgSleep'") {
          try await pool.withConnection { db in
            try await db.stream("SELECT i, pg_sleep(i / 1000) FROM generate_series(1, 100000) AS i") { _ in }
          }
        }
      case .begin: try await cancel(at: "query LIKE 'BEGIN%'", slow: true) { try await transaction() }
      case .commit:
        try await cancel(at: "query = 'COMMIT'") { try await transaction(before: { hold() }) }
        try await expectAllOrNothing()
      case .rollback:
        try await cancel(at: "query = 'ROLLBACK'") {
          try await transaction(before: {
            hold()
            throw Refused()
          })
        }
        #expect(try await entries() == 0)
      case .savepoint:
        try await cancel(at: "query LIKE 'SAVEPOINT%'") {
          try await pool.withTransaction { db in
            hold()
            try await db.withTransaction { db in _ = try await db.query("SELECT 1") }
          }
        }
      case .reset:
        try await cancel(at: "query = 'DISCARD ALL'") {
          try await pool.withConnection(resetting: .discardAll) { db in
            _ = try await db.query("SET work_mem = '7MB'")
            hold()
          }
          // The reset is the pool's own, and goes on without the caller.
          try await pool.withConnection(timeout: .seconds(30)) { _ in }
          try await pool.withConnection { db in _ = try await db.query("SELECT pg_sleep(600)") }
        }
      case .retry: try await betweenAttempts()
      case .warmed: try await whileWarming()
      case .drain: try await whileDraining()
      }
    }

    /// What a task does that is cancelled once one of the pool's sessions at the server is as `state` says. `slow`: the
    /// server's replies are held up from the beginning.
    private func cancel(
      at state: String, slow: Bool = false, _ body: sending @escaping () async throws -> Void
    ) async throws {
      if slow { hold() }
      let task = Task { try await body() }
      let question = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'warmgate/test%' AND "
      #expect(
        await eventually(within: .seconds(20), every: .milliseconds(5)) {
          try await postgres.sql(question + state) != "0"
        })
      task.cancel()
      await expectEnd(of: task)
    }

    /// Longer than it takes to look at the server, shorter than the patience with a statement that is to be stopped.
    private func hold() { proxy.delay(.milliseconds(600)) }

    /// In time, and with one of the errors that say what became of it; or it had all it wanted already.
    private func expectEnd(of task: Task<Void, any Error>) async {
      do { try await task.value } catch is CancellationError {} catch is Refused {} catch let error
        as PoolError
      {
        #expect(error.kind == .query, "\(error)")
      } catch { Issue.record("\(error)") }
    }

    private func transaction(before end: () throws -> Void = {}) async throws {
      try await pool.withTransaction { db in
        _ = try await db.query("CREATE TABLE entry (value int)")
        try end()
      }
    }

    private func entries() async throws -> Int? {
      Int(try await postgres.sql("SELECT count(*) FROM pg_class WHERE relname = 'entry'"))
    }

    private func expectAllOrNothing() async throws {
      let count = try await entries()
      #expect(count == 0 || count == 1)
    }

    private func inQueue(_ wait: @escaping @Sendable () async throws -> Void) async throws {
      try await pool.withConnection { _ in
        try await pool.withConnection { _ in
          let tasks = (0..<5).map { _ in Task { try await wait() } }
          #expect(await eventually { pool.snapshot.pool.waiting == 5 })
          for task in tasks { task.cancel() }
          for task in tasks {
            await #expect(throws: CancellationError.self) { try await task.value }
          }
          #expect(await eventually { pool.snapshot.pool.waiting == 0 })
        }
      }
    }

    /// Nothing more is asked, though all of it is prepared.
    private func betweenStatements() async throws {
      _ = try await postgres.sql("CREATE TABLE counter (value int)")
      let task = Task {
        try await pool.withConnection { db in
          for number in 0..<3 {
            _ = try await db.query("INSERT INTO counter VALUES ($1::int)", [Parameter(number)])
          }
          while !Task.isCancelled { await Task.yield() }
          _ = try await db.query("INSERT INTO counter VALUES ($1::int)", [Parameter(3)])
        }
      }
      #expect(await eventually { try await postgres.sql("SELECT count(*) FROM counter") == "3" })
      task.cancel()
      let error = await #expect(throws: PoolError.self) { try await task.value }
      #expect(error?.kind == .query && error?.maybeExecuted == false, "\(String(describing: error))")
      #expect(try await postgres.sql("SELECT count(*) FROM counter") == "3")
    }

    private func whileExchanging() async throws {
      let task = Task {
        try await pool.withConnection { db in
          try await pool.withConnection { _ in
            hold()
            _ = try await postgres.sql("SELECT pg_terminate_backend(\(db.backendPID))")
            #expect(await eventually { !pool.snapshot.faults.isEmpty })
            _ = try await db.query("SELECT 'moved'")
          }
        }
      }
      #expect(await eventually { pool.snapshot.counters.exchanges == 1 && pool.snapshot.pool.waiting == 1 })
      task.cancel()
      await expectEnd(of: task)
    }

    private func betweenAttempts() async throws {
      _ = try await postgres.sql("CREATE TABLE counter (value int); INSERT INTO counter VALUES (0)")
      let before = pool.snapshot.counters.leases
      let retry = TransactionRetry(attempts: 100, firstWait: .seconds(60), longestWait: .seconds(60))
      let task = Task {
        try await pool.withTransaction(retry: retry) { db in
          _ = try await db.query("DO $$ BEGIN RAISE EXCEPTION 'conflict' USING ERRCODE = '40001'; END $$")
        }
      }
      #expect(
        await eventually {
          let snapshot = pool.snapshot
          return snapshot.counters.leases > before && snapshot.pool.leased == 0
        })
      task.cancel()
      await expectEnd(of: task)
    }

    private func whileWarming() async throws {
      try await pool.withConnection { _ in }
      try await pool.drain()
      hold()
      try await pool.resume()
      let task = Task { try await pool.warmed() }
      #expect(await eventually { pool.snapshot.phase == .warming && pool.snapshot.pool.connecting > 0 })
      task.cancel()
      await #expect(throws: CancellationError.self) { try await task.value }
      proxy.heal()
      try await pool.warmed(within: .seconds(20))
    }

    private func whileDraining() async throws {
      try await pool.withConnection { _ in }
      let task = Task { _ = try await pool.drain() }
      #expect(await eventually { pool.snapshot.phase == .draining })
      task.cancel()
      await #expect(throws: CancellationError.self) { try await task.value }
      // It goes on without who asked for it.
      #expect(await eventually { pool.snapshot.phase == .drained })
      #expect(await eventually { try await postgres.sessions(like: "warmgate/test") == 0 })
      try await pool.resume()
      try await pool.warmed(within: .seconds(20))
    }

    func expectWhole() async throws {
      #expect(
        await eventually {
          let counts = pool.snapshot.pool
          return counts.leased == 0 && counts.waiting == 0 && counts.connecting == 0 && counts.open == 3
        }, "\(pool.snapshot.pool)")
      let left = """
        SELECT count(*) FILTER (WHERE state = 'idle' AND application_name = 'warmgate/test') || ' of ' || count(*)
        FROM pg_stat_activity WHERE application_name LIKE 'warmgate/test%'
        """
      var seen = ""
      #expect(
        await eventually {
          seen = try await postgres.sql(left)
          return seen == "3 of 3"
        }, "\(seen)")
      // All that may be lent at a time, each with the answer to its own question.
      try await withThrowingTaskGroup { group in
        for number in 0..<20 {
          group.addTask {
            let answer = try await pool.withConnection(timeout: .seconds(20)) { db in
              try await db.query("SELECT $1::int", [Parameter(number)])[0, 0]
            }
            #expect(answer == "\(number)")
          }
        }
        try await group.waitForAll()
      }
      #expect(pool.snapshot.counters.impossibleEvents == 0)
    }
  }
}

extension WarmPool {
  /// A question of the pool's own, answered when `answers` ends.
  fileprivate func askNextToBeLent(until answers: AsyncStream<Void>) {
    guard let pooled = connections.values.first(where: { $0.id != core.probeConnection }) else { return }
    askAside(on: pooled.connection) { _ in for await _ in answers {} }
  }
}
