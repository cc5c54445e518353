import Foundation
import PoolCore
import Support
import Synchronization
import WarmPool

/// A primary with standbys that follow it, each on a port of its own.
struct Replication: Sendable {
  let primary: TestPostgres
  let standbys: [TestPostgres]

  /// All of them, the primary first.
  var url: String {
    let all = [primary] + standbys
    return "host=\(all.map(\.socketDirectory).joined(separator: ",")) "
      + "port=\(all.map { String($0.port) }.joined(separator: ",")) user=postgres dbname=postgres"
  }

  /// As the pools name it.
  static func label(_ server: TestPostgres) -> String {
    "\(server.socketDirectory)/.s.PGSQL.\(server.port)"
  }
}

/// Runs `body` with pools for reading and writing on servers of their own, warm in every part, and ends them whatever
/// happens.
func withReplication<Result>(
  standbys count: Int, readyFor: Access = .write, _ change: (inout WarmPool.Configuration) -> Void = { _ in },
  _ body: (ReadWritePool, Replication) async throws -> Result
) async throws -> Result {
  try await withPostgres { primary in
    try await primary.sql("create table notes (text text)")
    var standbys: [TestPostgres] = []
    do {
      for _ in 0..<count { standbys.append(try await primary.makeStandby()) }
      let replication = Replication(primary: primary, standbys: standbys)
      var configuration = WarmPool.Configuration(databaseURL: replication.url)
      configuration.applicationName = "warmgate/test"
      configuration.pool.probeInterval = .milliseconds(500)
      configuration.pool.probeTimeout = .milliseconds(500)
      configuration.pool.acquireTimeout = .seconds(10)
      configuration.pool.drainDelay = .milliseconds(50)
      configuration.pool.drainTimeout = .seconds(10)
      change(&configuration)
      let pool = try ReadWritePool(configuration, readyFor: readyFor)
      async let life: Void = pool.run()
      do {
        try await pool.warmed(within: .seconds(20))
        guard await eventually({ pool.readyStandbys.count == count }) else {
          throw FixtureError("the standbys are not ready: \(pool.verdict)")
        }
        let result = try await body(pool, replication)
        _ = try? await pool.terminate(within: .seconds(1))
        await life
        for standby in standbys { await blocking { standby.close() } }
        return result
      } catch {
        _ = try? await pool.terminate(within: .seconds(1))
        await life
        throw error
      }
    } catch {
      for standby in standbys { await blocking { standby.close() } }
      throw error
    }
  }
}

extension ReadWritePool {
  var verdict: ReadWriteVerdict { snapshot.verdict(at: WarmPool.now()) }

  /// The hosts whose pools serve reads as standbys.
  var readyStandbys: [String] {
    verdict.parts.compactMap { part in
      if case .standby(let host) = part.name, part.verdict.isReady { host } else { nil }
    }
  }

  /// The port of the server that answers, and whether it is a standby.
  func whoAnswers(_ access: Access) async throws -> Answer {
    try await withConnection(access) { db in try await db.whoAnswers() }
  }
}

struct Answer: Hashable {
  var port: Int
  var isStandby: Bool
}

extension Lease {
  func whoAnswers() async throws -> Answer {
    let row = try await query("SELECT current_setting('port')::int, pg_is_in_recovery()")
    return Answer(port: row[0, 0].flatMap(Int.init) ?? 0, isStandby: row[0, 1] == "t")
  }
}
