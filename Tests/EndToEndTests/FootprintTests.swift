import Support
import Testing

@Suite("the memory of a sidecar")
struct FootprintTests {
  @Test("what only the start needed is given back after it, and the sidecar goes on as before")
  func givesBack() async throws {
    try await withSidecarAndPostgres { sidecar, pg in
      try await sidecar.waitUntilReady()
      let atFirst = try #require(sidecar.process.usage).rss
      #expect(
        await eventually(within: .seconds(60), every: .milliseconds(100)) {
          sidecar.process.usage.map { $0.rss < atFirst - 4 << 20 } ?? false
        })
      try await pg.restart()
      #expect(await eventually { try await pg.sessions() == 2 })
      try await sidecar.waitUntilReady()
      #expect(await sidecar.terminate() == .exited(0))
    }
  }
}
