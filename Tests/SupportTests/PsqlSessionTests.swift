import Support
import Testing

@Suite("a session that stays open")
struct PsqlSessionTests {
  @Test("it answers one question after the other, holds a slot, and says why it ended")
  func conversation() async throws {
    try await withPostgres { pg in
      let session = try await pg.session()
      #expect(try await session.ask("select 1, 'a'") == "1|a")
      #expect(try await session.ask("select where false") == "")
      let pid = try await session.ask("select pg_backend_pid()")
      #expect(try await session.ask("select pg_backend_pid()") == pid)
      #expect(try await pg.sql("select count(*) from pg_stat_activity where pid = \(pid)") == "1")
      await #expect(throws: FixtureError.self) { try await session.ask("select 1 / 0") }
      await #expect(throws: FixtureError.self) { try await session.ask("select 1") }
      #expect(
        await eventually {
          try await pg.sql("select count(*) from pg_stat_activity where pid = \(pid)") == "0"
        })
      do {
        _ = try await pg.session(user: "nobody_here")
        Issue.record("a session of a role that does not exist")
      } catch let error as FixtureError {
        #expect(error.description.contains("nobody_here"))
      }
    }
  }
}
