import EventLoop
import Foundation
import PoolCore
import Support
import Synchronization
import Testing

@testable import Postgres

/// What `onEnd` was told.
final class Ends: Sendable {
  private let list = Mutex<[Fault]>([])
  func note(_ fault: Fault) { list.withLock { $0.append(fault) } }
  var faults: [Fault] { list.withLock { $0 } }
}

@Suite("the end of a connection") struct ConnectionEndTests {
  private func opened(_ server: TestPostgres, on loop: EventLoop, _ ends: Ends) async throws -> Connection {
    let connection = try await connector(server.unixURL, on: loop).login()
    await connection.onEnd { ends.note($0) }
    return connection
  }

  @Test("an idle session that is terminated is noticed by itself, with 57P01, once")
  func terminated() async throws {
    try await withPostgres { server in
      try await withLoop { loop in
        let ends = Ends()
        let connection = try await opened(server, on: loop, ends)
        #expect(await connection.isQuiet)
        try await server.terminateBackends(applicationNameLike: "warmgate/test")
        #expect(await eventually { ends.faults.count == 1 })
        #expect(
          ends.faults.first
            == Fault(
              .server(.adminShutdown), at: .idle, host: connection.hostLabel,
              message: "terminating connection due to administrator command"))
        #expect(await connection.transactionStatus == .unknown)
        #expect(await !connection.isQuiet)
        await #expect { try await connection.query("select 1") } throws: {
          ($0 as? QueryError) == QueryError(ends.faults[0], connectionUsable: false, maybeExecuted: false)
        }
        // Whoever asks too late is told nevertheless.
        await connection.onEnd { ends.note($0) }
        #expect(await eventually { ends.faults.count == 2 })
        await connection.close()
      }
    }
  }

  @Test("an immediate shutdown says that it is one: 57P01")
  func immediateShutdown() async throws {
    try await withPostgres { server in
      try await withLoop { loop in
        var heard: Fault?
        // Often it ends without a word: here each fourth time, on a busy machine each second.
        for _ in 1...20 where heard?.sqlState != .adminShutdown {
          let ends = Ends()
          let connection = try await opened(server, on: loop, ends)
          try await server.stop(.immediate)
          #expect(await eventually { ends.faults.count == 1 })
          heard = ends.faults.first
          await connection.close()
          try await server.start()
        }
        #expect(heard?.sqlState == .adminShutdown)
      }
    }
  }

  @Test("the crash of another backend is 57P02, the crash of the server ends it too")
  func crash() async throws {
    try await withPostgres { server in
      try await withLoop { loop in
        // It often ends without a word, as in an immediate shutdown.
        var heard: Fault?
        for _ in 1...20 where heard?.sqlState != .crashShutdown {
          let ends = Ends()
          let connection = try await opened(server, on: loop, ends)
          let victim = try await connector(server.unixURL, on: loop).login()
          Glibc.kill(victim.backendPID, SIGKILL)
          #expect(await eventually { ends.faults.count == 1 })
          heard = ends.faults.first
          #expect(heard?.step == .idle)
          await connection.close()
          await victim.close()
          try await server.waitUntilAccepting()
        }
        #expect(heard?.sqlState == .crashShutdown)

        let again = Ends()
        let second = try await opened(server, on: loop, again)
        await server.kill()
        #expect(await eventually { again.faults.count == 1 })
        // A backend may notice that the postmaster is gone before it is killed itself.
        #expect([.closed, .server(.adminShutdown)].contains(again.faults.first?.kind))
        await second.close()
      }
    }
  }

  @Test("idle_session_timeout is 57P05, idle_in_transaction_session_timeout 25P03")
  func timeouts() async throws {
    try await withPostgres { server in
      try await withLoop { loop in
        let (first, second) = (Ends(), Ends())
        let idle = try await opened(server, on: loop, first)
        _ = try await idle.query("set idle_session_timeout = '20ms'")
        let inTransaction = try await opened(server, on: loop, second)
        _ = try await inTransaction.query("set idle_in_transaction_session_timeout = '20ms'")
        _ = try await inTransaction.query("begin")
        #expect(await eventually { first.faults.first?.sqlState == .idleSessionTimeout })
        #expect(await eventually { second.faults.first?.sqlState?.code == "25P03" })
        await idle.close()
        await inTransaction.close()
      }
    }
  }

  @Test("a session that is terminated during a statement fails it with 57P01, and it may have been executed")
  func duringStatement() async throws {
    try await withPostgres { server in
      try await withLoop { loop in
        let ends = Ends()
        let connection = try await opened(server, on: loop, ends)
        let statement = Task { try await connection.query("select pg_sleep(600)") }
        #expect(await eventually { await connection.transactionStatus == .active })
        try await server.terminateBackends(applicationNameLike: "warmgate/test")
        await #expect { try await statement.value } throws: {
          guard let error = $0 as? QueryError else { return false }
          return error.fault.sqlState == .adminShutdown && error.fault.step == .query
            && !error.connectionUsable
            && error.maybeExecuted
        }
        #expect(ends.faults.map(\.sqlState) == [.adminShutdown])
        await connection.close()
      }
    }
  }

  @Test("a statement on a session that has just ended is known not to have been sent")
  func notSent() async throws {
    try await withPostgres { server in
      try await withLoop { loop in
        for url in [server.unixURL, server.tcpURL()] {
          let ends = Ends()
          let connection = try await connector(url, on: loop).login()
          await connection.onEnd { ends.note($0) }
          // The loop is kept from looking, so that the statement comes first.
          let statement = await withCheckedContinuation { continuation in
            loop.post {
              Glibc.kill(connection.backendPID, SIGTERM)
              while connection.assumeIsolated({ $0.isQuiet }) { usleep(1000) }
              continuation.resume(
                returning: Task(executorPreference: LoopTaskExecutor(loop)) {
                  try await connection.query("select 1")
                })
            }
          }
          await #expect { try await statement.value } throws: {
            guard let error = $0 as? QueryError else { return false }
            return error.fault.sqlState == .adminShutdown && !error.connectionUsable && !error.maybeExecuted
          }
          #expect(ends.faults.map(\.step) == [.idle])
          await connection.close()
        }
      }
    }
  }

  @Test("an answer that was read together with the end of the session counts")
  func answerThenEnd() async throws {
    try await withPostgres { server in
      try await withLoop { loop in
        let ends = Ends()
        let connection = try await opened(server, on: loop, ends)
        // As soon as the statement is sent the loop is busy; meanwhile the server answers, and ends the session.
        @Sendable func sleepWhenSent() {
          let sent = connection.assumeIsolated { $0.transactionStatus == .active }
          if sent { usleep(300_000) } else { loop.post { sleepWhenSent() } }
        }
        async let answer = connection.query("select set_config('idle_session_timeout', '20ms', false)")
        loop.post { sleepWhenSent() }
        #expect(try await answer[0, 0] == "20ms")
        #expect(await eventually { ends.faults.map(\.sqlState) == [.idleSessionTimeout] })
        #expect(ends.faults.map(\.step) == [.idle])
        await connection.close()
      }
    }
  }

  @Test("closing says goodbye: the server logs the end of a session and nothing unusual")
  func terminate() async throws {
    try await withPostgres { server in
      try await withLoop { loop in
        let ends = Ends()
        for url in [server.unixURL, server.tcpURL()] {
          let connection = try await connector(url, on: loop).login()
          await connection.onEnd { ends.note($0) }
          _ = try await connection.query("select 1")
          await connection.close()
          await connection.close()
          await #expect(throws: QueryError.self) { try await connection.ping() }
        }
        #expect(
          await eventually {
            server.countInLog(matching: "app=warmgate/test .*disconnection: session time") == 2
          })
        #expect(server.countInLog(matching: "unexpected EOF|Connection reset|FATAL") == 0)
        #expect(ends.faults.isEmpty)
      }
    }
  }

  @Test("a connection that nobody holds any more ends its session")
  func forgotten() async throws {
    try await withPostgres { server in
      try await withLoop { loop in
        for _ in 0..<5 { _ = try await connector(server.unixURL, on: loop).login() }
        #expect(await eventually { try await server.sessions(like: "warmgate/test") == 0 })
        #expect(server.countInLog(matching: "unexpected EOF") == 0)
      }
    }
  }

  @Test("closing during a statement fails it at once")
  func closeDuringStatement() async throws {
    try await withPostgres { server in
      try await withLoop { loop in
        let ends = Ends()
        let connection = try await opened(server, on: loop, ends)
        let statement = Task { try await connection.query("select pg_sleep(600)") }
        #expect(await eventually { await connection.transactionStatus == .active })
        await connection.close()
        await #expect { try await statement.value } throws: {
          guard let error = $0 as? QueryError else { return false }
          return !error.connectionUsable && error.maybeExecuted && error.fault.message.contains("closed")
        }
        #expect(ends.faults.isEmpty)
      }
    }
  }

  @Test("a promoted standby reports that it is no standby any more")
  func promotion() async throws {
    try await withPostgres { primary in
      try await withStandby(of: primary) { standby in
        try await withLoop { loop in
          let connection = try await connector(standby.unixURL, on: loop).login()
          #expect(await connection.isInHotStandby)
          try await standby.sql("select pg_promote()")
          // The server tells an idle session with its next answer.
          try await connection.ping()
          #expect(await !connection.isInHotStandby)
          await connection.close()
        }
      }
    }
  }

  @Test("notices are taken from any thread, and only what ends a session is remembered")
  func noticesFromForeignThreads() async throws {
    try await withPostgres { server in
      try await withLoop { loop in
        let connection = try await connector(server.unixURL, on: loop).login()
        // A notice, a warning and a notification: neither printed nor in the way.
        _ = try await connection.query("do $$ begin raise warning 'careful'; raise notice 'so'; end $$")
        _ = try await connection.query("listen news")
        try await server.sql("notify news, 'x'")
        for _ in 0..<5 { try await connection.ping() }
        await connection.close()
      }
      // The receiver itself, on a thread that neither Swift nor the loop knows: it must not look for an executor.
      try await blocking {
        var options = try Database(url: server.unixURL, applicationName: "warmgate/foreign").options
        options.append(.init(keyword: "host", value: server.socketDirectory))
        options.append(.init(keyword: "port", value: String(server.port)))
        let session = Session(try #require(connectBlocking(options)))
        runBlocking("do $$ begin raise warning 'careful'; end $$", on: session)
        #expect(session.lastWords.code == nil)
        runBlocking("select pg_terminate_backend(pg_backend_pid())", on: session)
        #expect(session.isBroken)
      }
    }
  }
}
