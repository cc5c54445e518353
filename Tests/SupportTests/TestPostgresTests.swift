import Foundation
import Support
import Testing

@Suite("a throwaway PostgreSQL")
struct TestPostgresTests {
  @Test("starts, answers over the Unix socket and over TCP with a password, and leaves nothing behind")
  func startsAndCleansUp() async throws {
    let (directory, pid) = try await withPostgres { pg in
      #expect(try await pg.sql("select 1 + 1") == "2")
      #expect(pg.socketDirectory.utf8.count < 60)
      let psql = try await run(["psql", "-X", "-A", "-t", "-c", "select 'over tcp'", pg.tcpURL()])
      #expect(psql.output == "over tcp\n")
      let wrong = try await run(["psql", "-X", "-c", "select 1", pg.tcpURL(password: "wrong")])
      #expect(!wrong.succeeded)
      #expect(pg.countInLog(matching: "state=28P01 FATAL") == 1)
      return (pg.socketDirectory, try #require(pg.pid))
    }
    #expect(!FileManager.default.fileExists(atPath: directory))
    #expect(!FileManager.default.fileExists(atPath: "/proc/\(pid)"))
  }

  @Test("several start at the same time, each with a port of its own")
  func severalAtOnce() async throws {
    let ports = try await withThrowingTaskGroup(of: Int.self) { group in
      for number in 0..<3 {
        group.addTask {
          try await withPostgres { pg in
            try await pg.sql("create table t as select \(number) as n")
            #expect(try await pg.sql("select n from t") == "\(number)")
            return pg.port
          }
        }
      }
      return try await group.reduce(into: Set()) { $0.insert($1) }
    }
    #expect(ports.count == 3)
  }

  @Test(
    "keeps its data and its port over a fast and an immediate restart, and over a kill",
    arguments: ["fast", "immediate", "kill"])
  func restarts(how: String) async throws {
    try await withPostgres { pg in
      try await pg.sql("create table t as select 42 as n")
      let (port, pid) = (pg.port, pg.pid)
      let backends = pg.backends
      #expect(backends.count >= 3)
      switch how {
      case "fast": try await pg.restart(.fast)
      case "immediate": try await pg.restart(.immediate)
      default:
        await pg.kill()
        #expect(!pg.isRunning)
        for backend in backends { #expect(kill(backend, 0) != 0 || isZombie(backend)) }
        try await pg.start()
      }
      try await pg.waitUntilAccepting()
      #expect(try await pg.sql("select n from t") == "42")
      #expect(pg.port == port)
      #expect(pg.pid != pid)
    }
  }

  @Test("answers nothing while suspended, and goes on afterwards")
  func suspends() async throws {
    try await withPostgres { pg in
      await pg.suspend()
      await #expect(throws: FixtureError.self) { try await pg.sql("select 1", within: .milliseconds(500)) }
      await pg.resume()
      let answer = try await pg.sql("select 1")
      #expect(answer == "1")
    }
  }

  @Test("terminates the sessions that are named, and counts the others")
  func terminates() async throws {
    try await withPostgres { pg in
      let sleeper = Task {
        try await run(
          ["psql", "-X", "-c", "select pg_sleep(60)", pg.unixURL],
          environment: cleanEnvironment(adding: ["PGAPPNAME": "sleeper/1"]))
      }
      #expect(await eventually { try await pg.sessions(like: "sleeper/%") == 1 })
      #expect(try await pg.sessions(like: "nobody%") == 0)
      #expect(try await pg.terminateBackends(applicationNameLike: "sleeper/%") == 1)
      let result = try await sleeper.value
      #expect(!result.succeeded)
      #expect(pg.countInLog(matching: "app=sleeper/1 state=57P01 FATAL") == 1)
    }
  }

  @Test("a reload is in force for the next session")
  func reloads() async throws {
    try await withPostgres { pg in
      try await pg.reload(["work_mem": "1234kB"])
      #expect(try await pg.sql("show work_mem") == "1234kB")
    }
  }

  @Test("a standby follows, is read-only, and is promoted")
  func standby() async throws {
    try await withPostgres { pg in
      try await pg.sql("create table t as select 1 as n")
      let standby = try await pg.makeStandby()
      defer { standby.close() }
      #expect(await eventually { try await standby.sql("select n from t") == "1" })
      #expect(try await standby.sql("select pg_is_in_recovery()") == "t")
      try await standby.promote()
      try await standby.sql("insert into t values (2)")
      #expect(try await pg.sql("select count(*) from t") == "1")
    }
  }

  @Test("TLS: a valid certificate is accepted, an expired one and one for another host are not")
  func certificates() async throws {
    try await withPostgres { pg in
      for certificate in TestPostgres.Certificate.allCases {
        try await pg.enableTLS(certificate)
        let url = pg.tcpURL() + "?sslmode=verify-full&sslrootcert=\(pg.authorityPath)"
        let psql = try await run([
          "psql", "-X", "-A", "-t", "-c", "select ssl from pg_stat_ssl where pid = pg_backend_pid()", url,
        ])
        switch certificate {
        case .valid: #expect(psql.output == "t\n", "\(psql.errors)")
        case .expired: #expect(psql.errors.contains("certificate verify failed"), "\(psql.output)")
        case .wrongHost: #expect(psql.errors.contains("does not match host name"), "\(psql.output)")
        }
      }
    }
  }

  private func isZombie(_ pid: pid_t) -> Bool {
    (try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8))?.contains(") Z ") ?? true
  }
}
