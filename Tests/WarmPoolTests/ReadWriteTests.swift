import Foundation
import PoolCore
import Support
import Synchronization
import Testing
import WarmPool

@Suite("reading and writing", .timeLimit(.minutes(5))) struct ReadWriteTests {
  @Test("reads go to the standbys in turn, writes to the primary, and every pool is named")
  func whereThingsGo() async throws {
    try await withReplication(standbys: 2) { pool, servers in
      let standbys = Set(servers.standbys.map { Answer(port: $0.port, isStandby: true) })
      let primary = Answer(port: servers.primary.port, isStandby: false)
      // Where the machine has no time for the probe, a standby is in doubt for a moment.
      #expect(
        await eventually {
          var answers: Set<Answer> = []
          for _ in 0..<20 { answers.insert(try await pool.whoAnswers(.read)) }
          return answers == standbys
        })
      #expect(try await pool.whoAnswers(.write) == primary)
      // Single statements too, however often they have been asked.
      for number in 0..<9 {
        #expect(
          await eventually {
            try await pool.query(.read, "SELECT pg_is_in_recovery()", as: Bool.self) == [true]
          })
        let written = try await pool.query(.write, "SELECT $1::int, pg_is_in_recovery()", [Parameter(number)])
        #expect(written[0, 0] == "\(number)" && written[0, 1] == "f")
      }

      let options: [(TransactionOptions, isStandby: Bool)] = [
        (TransactionOptions(), false), (TransactionOptions(readOnly: false), false),
        (TransactionOptions(readOnly: true), true),
        (TransactionOptions(isolation: .repeatableRead, readOnly: true), true),
        // A standby would refuse it.
        (TransactionOptions(isolation: .serializable, readOnly: true, deferrable: true), false),
      ]
      for (options, isStandby) in options {
        func runsOnStandby() async throws -> Bool {
          try await pool.withTransaction(options) { db in try await db.whoAnswers() }.isStandby
        }
        if isStandby {
          #expect(await eventually { try await runsOnStandby() }, "\(options)")
        } else {
          #expect(try await runsOnStandby() == false, "\(options)")
        }
      }
      try await pool.withTransaction { db in _ = try await db.query("INSERT INTO notes VALUES ('one')") }
      #expect(
        await eventually {
          try await pool.note() == "one"
        })

      let names = servers.standbys.map { "; standby \(Replication.label($0)): ready" }.joined()
      let verdict =
        "ready: primary: ready; standby \(Replication.label(servers.primary)): is the primary\(names)"
      #expect(await eventually { pool.verdict.description == verdict }, "\(pool.verdict)")
      // The pool that waits for the primary to become a standby opens nothing there, and does not ask again and again.
      #expect(
        await eventually {
          pool.snapshot.standbys[0].snapshot.login.lastFault?.message == "it is the primary"
        })
      #expect(pool.snapshot.entries.count == 4)
      #expect(pool.snapshot.standbys[0].snapshot.counters.loginsSucceeded == 0)
    }
  }

  @Test("a drain ends the work of all pools, a resume takes it back, and the end is the end of all")
  func drain() async throws {
    try await withReplication(standbys: 1) { pool, servers in
      let all = [servers.primary] + servers.standbys
      let progress = try await pool.drain(within: .seconds(10))
      #expect(progress.stage == .done && progress.cut == 0)
      // The floor is two of each.
      #expect(progress.closed > 2)
      #expect(!pool.verdict.isReady && pool.readyStandbys.isEmpty)
      for server in all { #expect(await eventually { try await server.sessions() == 0 }) }
      for access in Access.allCases {
        let error = await #expect(throws: PoolError.self) { try await pool.whoAnswers(access) }
        #expect(error?.refusal == .draining, "\(access)")
      }
      try await pool.resume()
      #expect(await eventually { pool.verdict.isReady && pool.readyStandbys.count == 1 })
      #expect(try await pool.whoAnswers(.read).isStandby)
      try await pool.terminate(within: .seconds(10))
      let error = await #expect(throws: PoolError.self) { try await pool.resume() }
      guard case .resumeRefused? = error?.kind else {
        Issue.record("\(String(describing: error))")
        return
      }
    }
  }

  @Test("standbys that stop are passed over without a refused call, one after the other, and are used again")
  func lostStandbys() async throws {
    try await withReplication(standbys: 2) { pool, servers in
      let readers = Readers(pool, count: 8)
      async let reading: Void = readers.run()
      defer { readers.stop() }
      let ports = servers.standbys.map(\.port)
      #expect(await eventually { readers.seen(ports[0]) && readers.seen(ports[1]) })

      try await servers.standbys[0].stop(.fast)
      #expect(await readers.settle(on: ports[1]))
      #expect(await eventually { pool.verdict.isDegraded && pool.readyStandbys.count == 1 })

      try await servers.standbys[1].stop(.immediate)
      #expect(await readers.settle(on: servers.primary.port))
      let lost = "; standby \(Replication.label(servers.standbys[0])): database lost: "
      #expect(
        await eventually {
          pool.verdict.isReady && pool.readyStandbys.isEmpty && pool.verdict.detail.contains(lost)
        })

      try await servers.standbys[0].start()
      #expect(await readers.settle(on: ports[0]))

      readers.stop()
      await reading
      #expect(readers.refused.isEmpty, "\(readers.refused)")
      // What a reader had sent when its standby stopped: once for each of the two.
      #expect(readers.failed.count <= 16, "\(readers.failed)")
      #expect(readers.failed.allSatisfy { $0.kind == .query }, "\(readers.failed)")
    }
  }

  @Test("the first statement of a read whose standby is lost runs on another one, or on the primary")
  func firstStatement() async throws {
    try await withReplication(standbys: 2) { pool, servers in
      let (first, second) = (servers.standbys[0], servers.standbys[1])
      // Leases are taken until one is at the standby that is to stop.
      var moved: Answer?
      while moved == nil {
        moved = try await pool.withConnection(.read) { db in
          guard pool.leases(at: second) == 1 else { return nil }
          try await second.stop(.fast)
          return try await db.whoAnswers()
        }
      }
      #expect(moved?.port != second.port)

      let result = try await pool.withConnection(.read) { db in
        await first.kill()
        return try await db.withTransaction(TransactionOptions(readOnly: true)) { db in
          let answer = try await db.whoAnswers()
          #expect(await eventually { pool.snapshot.primary.pool.leased == 1 })
          return answer
        }
      }
      #expect(result == Answer(port: servers.primary.port, isStandby: false))
      // It was given back where it came from in the end.
      #expect(await eventually { pool.snapshot.entries.allSatisfy { $0.snapshot.pool.leased == 0 } })
      #expect(pool.snapshot.entries.allSatisfy { $0.snapshot.counters.impossibleEvents == 0 })
    }
  }

  @Test("a read that is cancelled stops at its server, also after it has moved to another one")
  func cancelledRead() async throws {
    try await withReplication(standbys: 1) { pool, servers in
      let standby = servers.standbys[0]
      for moves in [false, true] {
        let task = Task {
          try await pool.withConnection(.read) { db in
            if moves { await standby.kill() }
            for time in [0, 0, 0, 600] {
              _ = try await db.query("SELECT pg_sleep($1::int)", [Parameter(time)])
            }
          }
        }
        let server = moves ? servers.primary : standby
        let asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        #expect(await eventually { try await server.sql(asleep) == "1" }, "moves: \(moves)")
        task.cancel()
        let error = await #expect(throws: PoolError.self) { try await task.value }
        #expect(error?.fault?.sqlState == .queryCanceled, "moves: \(moves)")
        #expect(await eventually { try await server.sql(asleep) == "0" })
      }
    }
  }

  @Test("a read that waits at a standby goes on to the primary when the standby hangs")
  func hangingStandby() async throws {
    try await withReplication(standbys: 1, { $0.maxConnections = 2 }) { pool, servers in
      let standby = servers.standbys[0]
      // The pool's other connection is its probe's.
      var answer: Answer?
      while answer == nil {
        answer = try await pool.withConnection(.read) { db in
          guard try await db.whoAnswers().isStandby else { return nil }
          async let waiting = pool.whoAnswers(.read)
          _ = await eventually(within: .seconds(5)) { pool.snapshot.standbys[1].snapshot.pool.waiting == 1 }
          await standby.suspend()
          return try await waiting
        }
      }
      #expect(answer == Answer(port: servers.primary.port, isStandby: false))
      #expect(try await pool.whoAnswers(.read).isStandby == false)
      await standby.resume()
      #expect(await eventually { try await pool.whoAnswers(.read).isStandby })
    }
  }

  @Test("thousands of reads that wait at a standby are sent away at once when it hangs")
  func thousandsWaiting() async throws {
    let waiters = 5000
    try await withReplication(
      standbys: 1,
      {
        $0.maxConnections = 2
        $0.pool.maxWaiting = 4 * waiters
        $0.pool.acquireTimeout = .seconds(120)
      }
    ) { pool, servers in
      let standby = servers.standbys[0]
      #expect(await eventually { try await pool.whoAnswers(.read).isStandby })
      try await withThrowingTaskGroup { group in
        try await pool.withConnection(.read) { _ in
          // Where the machine has no time for the probe, the standby is in doubt for a moment, and those who wait there
          // go on to the primary: then others come.
          var areWaiting = false
          for _ in 0..<4 where !areWaiting {
            for _ in 0..<waiters { group.addTask { try await pool.whoAnswers(.read).isStandby } }
            areWaiting = await eventually(within: .seconds(15)) {
              pool.snapshot.standbys[1].snapshot.pool.waiting >= waiters
            }
          }
          #expect(areWaiting)
          await standby.suspend()
          #expect(await eventually { pool.snapshot.standbys[1].snapshot.pool.waiting == 0 })
        }
        for try await isStandby in group { #expect(!isStandby) }
      }
      await standby.resume()
    }
  }

  @Test("a standby that is too far behind is passed over, with the reason")
  func lag() async throws {
    try await withReplication(standbys: 1, { $0.maxReplayLag = .seconds(1) }) { pool, servers in
      let standby = servers.standbys[0]
      try await standby.sql("select pg_wal_replay_pause()")
      #expect(
        await eventually { try await standby.sql("select pg_get_wal_replay_pause_state()") == "paused" })
      try await servers.primary.sql("insert into notes values ('late')")
      let reason = "standby \(Replication.label(standby)): probe failed: role: standby is too far behind"
      #expect(
        await eventually {
          pool.verdict.isReady && pool.verdict.isDegraded && pool.verdict.detail.contains(reason)
        }, "\(pool.verdict)")
      #expect(try await pool.whoAnswers(.read).isStandby == false)
      try await standby.sql("select pg_wal_replay_resume()")
      #expect(await eventually { try await pool.whoAnswers(.read).isStandby })
      #expect(
        try await pool.note() == "late")
    }
  }

  @Test("roles that are exchanged are followed: writes to the new primary, reads to the old one")
  func switchover() async throws {
    try await withReplication(standbys: 1) { pool, servers in
      let (old, new) = (servers.primary, servers.standbys[0])
      let readers = Readers(pool, count: 4)
      async let reading: Void = readers.run()
      defer { readers.stop() }
      #expect(await eventually { readers.seen(new.port) })

      // A clean stop: everything has reached the standby.
      try await old.stop(.fast)
      #expect(
        await eventually { !pool.verdict.isReady && pool.verdict.canRead && !pool.verdict.canWrite })
      try await new.promote()
      #expect(await eventually { pool.verdict.isReady })
      try await pool.withConnection(.write) { db in _ = try await db.query("INSERT INTO notes VALUES ('new')")
      }
      let answer = try await pool.whoAnswers(.write)
      #expect(answer == Answer(port: new.port, isStandby: false))
      let suffix = "standby \(Replication.label(new)): is the primary"
      #expect(await eventually { pool.readyStandbys.isEmpty && pool.verdict.detail.hasSuffix(suffix) })
      // The standby's pool has left it.
      #expect(await eventually { pool.snapshot.standbys[1].snapshot.pool.open == 0 })

      try await old.follow(new)
      #expect(await eventually { pool.readyStandbys == [Replication.label(old)] })
      #expect(await readers.settle(on: old.port))
      #expect(await eventually { try await pool.note() == "new" })
      readers.stop()
      await reading
      #expect(readers.refused.isEmpty, "\(readers.refused)")
    }
  }

  @Test("a standby that is promoted serves no reads from the end of its next statement on")
  func promotion() async throws {
    // No probe notices it in the time of this test.
    try await withReplication(standbys: 1, { $0.pool.probeInterval = .seconds(120) }) { pool, servers in
      #expect(try await pool.whoAnswers(.read).isStandby)
      try await servers.standbys[0].promote()
      let primary = Answer(port: servers.primary.port, isStandby: false)
      #expect(await eventually { try await pool.whoAnswers(.read) == primary })
      #expect(await eventually { pool.snapshot.standbys[1].snapshot.pool.open == 0 })
      #expect(try await pool.whoAnswers(.write) == primary)
    }
  }

  @Test("when the task that runs them is cancelled, all pools end")
  func cancellation() async throws {
    try await withReplication(standbys: 1) { other, servers in
      let pool = try ReadWritePool(other.configuration)
      let life = Task { await pool.run() }
      #expect(await eventually { pool.verdict.isReady && pool.readyStandbys.count == 1 })
      life.cancel()
      await life.value
      #expect(pool.snapshot.entries.allSatisfy { $0.snapshot.phase == .drained })
    }
  }

  @Test("a service that only reads is ready without the primary")
  func onlyReads() async throws {
    try await withReplication(standbys: 1, readyFor: .read) { pool, servers in
      await servers.primary.kill()
      #expect(await eventually { !pool.verdict.canWrite })
      #expect(await eventually { pool.verdict.isReady && pool.verdict.isDegraded })
      #expect(try await pool.whoAnswers(.read).isStandby)
      try await pool.warmed(within: .seconds(20))
      await servers.standbys[0].kill()
      #expect(await eventually { !pool.verdict.isReady })
      let error = await #expect(throws: PoolError.self) { try await pool.warmed(within: .milliseconds(50)) }
      guard case .notWarm? = error?.kind else {
        Issue.record("\(String(describing: error))")
        return
      }
    }
  }

  @Test("with a single host there is no standby, and reads go where writes go")
  func singleHost() async throws {
    try await withReplication(standbys: 0) { pool, servers in
      #expect(pool.snapshot.standbys.isEmpty)
      let answer = try await pool.whoAnswers(.read)
      #expect(answer == Answer(port: servers.primary.port, isStandby: false))
      #expect(pool.verdict.description == "ready: primary: ready")
    }
  }

  @Test("bad settings are refused before anything starts")
  func badSettings() throws {
    func refused(_ setting: String, _ change: (inout WarmPool.Configuration, inout PoolSettings?) -> Void) {
      var configuration = WarmPool.Configuration(databaseURL: "host=a,b")
      var standby: PoolSettings?
      change(&configuration, &standby)
      let error = #expect(throws: SettingsError.self) {
        _ = try ReadWritePool(configuration, standby: standby)
      }
      #expect(error?.setting == setting)
    }
    refused("require-role") { configuration, _ in configuration.requireRole = .standby }
    refused("max-replay-lag") { configuration, _ in configuration.maxReplayLag = .zero }
    refused("max-connections") { _, standby in
      var settings = PoolSettings()
      settings.maxConnections = 1
      standby = settings
    }
  }
}

extension ReadWritePool {
  /// As a standby has it.
  fileprivate func note() async throws -> String? {
    try await withConnection(.read) { db in try await db.query("SELECT text FROM notes")[0, 0] }
  }

  fileprivate func leases(at server: TestPostgres) -> Int {
    let part = ReadWritePart.standby(host: Replication.label(server))
    return snapshot.standbys.first { $0.part == part }?.snapshot.pool.leased ?? 0
  }
}

extension TestPostgres {
  /// Starts a stopped primary as a standby of the one that has taken its place.
  fileprivate func follow(_ primary: TestPostgres) async throws {
    let signal = dataDirectory + "/standby.signal"
    try "".write(toFile: signal, atomically: true, encoding: .utf8)
    let attributes = try FileManager.default.attributesOfItem(atPath: dataDirectory)
    let owner = attributes.filter { [.ownerAccountID, .groupOwnerAccountID].contains($0.key) }
    try FileManager.default.setAttributes(owner, ofItemAtPath: signal)
    try await start([
      "primary_conninfo": "host=\(primary.socketDirectory) port=\(primary.port) user=postgres"
    ])
  }
}

/// Callers that read without a pause, and what became of it.
private final class Readers: Sendable {
  private struct State {
    var isStopped = false
    var ports: Set<Int> = []
    var count = 0
    var errors: [PoolError] = []
  }

  private let pool: ReadWritePool
  private let callers: Int
  private let state = Mutex(State())

  init(_ pool: ReadWritePool, count: Int) {
    self.pool = pool
    callers = count
  }

  func run() async {
    await withTaskGroup { group in
      for _ in 0..<callers { group.addTask { await self.read() } }
    }
  }

  private func read() async {
    while !state.withLock({ $0.isStopped }) {
      do {
        let answer = try await pool.whoAnswers(.read)
        state.withLock {
          $0.ports.insert(answer.port)
          $0.count += 1
        }
      } catch let error as PoolError {
        state.withLock { $0.errors.append(error) }
      } catch { Issue.record(error) }
    }
  }

  func stop() { state.withLock { $0.isStopped = true } }

  /// True once a hundred reads in a row are all answered there. What is in doubt for a moment, because the machine had
  /// no time for its probe, has other readers meanwhile.
  func settle(on port: Int) async -> Bool {
    await eventually {
      state.withLock {
        $0.ports = []
        $0.count = 0
      }
      _ = await eventually(within: .seconds(10)) { state.withLock { $0.count } >= 100 }
      return state.withLock { $0.ports } == [port]
    }
  }

  func seen(_ port: Int) -> Bool { state.withLock { $0.ports.contains(port) } }
  /// Calls that got no connection.
  var refused: [PoolError] { state.withLock { $0.errors.filter { $0.refusal != nil } } }
  /// All others that failed.
  var failed: [PoolError] { state.withLock { $0.errors.filter { $0.refusal == nil } } }
}
