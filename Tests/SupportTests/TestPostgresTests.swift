import Foundation
import Support
import Testing

@Suite("a throwaway PostgreSQL")
struct TestPostgresTests {
  @Test("starts, answers over the Unix socket and over TCP with a password, and leaves nothing behind")
  func startsAndCleansUp() async throws {
    let (directory, pid) = try await withPostgres { pg in
      #expect(try await pg.sql("select 1 + 1") == "2")
      #expect(try await pg.sql("show server_version_num") >= "150000")
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
}
