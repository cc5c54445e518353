import Support
import Testing

@Suite("the fixture of the end-to-end tests")
struct SidecarTests {
  @Test("a sidecar beside a PostgreSQL becomes ready, tells its status, and ends with SIGTERM")
  func life() async throws {
    try await withSidecarAndPostgres { sidecar, pg in
      try await sidecar.waitUntilReady()
      #expect(try await sidecar.live().status == 200)
      #expect(try await sidecar.startup().status == 200)
      let status = try await sidecar.status()
      #expect(status["ready"].bool == true)
      #expect(status["pool"]["open"].int == 2)
      #expect(status["nothing"]["of"][3]["this"] == .null)
      #expect(sidecar.log("ready").first?.state == "ready")
      #expect(await sidecar.terminate() == .exited(0))
      #expect(sidecar.log("stopped").count == 1)
    }
  }
}
