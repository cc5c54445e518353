import Foundation
import Support
import Testing

@Suite("the threads of a sidecar")
struct ThreadsTests {
  @Test("logins and probes need the loop and a thread for each login, and start none of Swift's shared ones")
  func names() async throws {
    try await withSidecarAndPostgres { sidecar, _ in
      try await sidecar.waitUntilReady()
      let tasks = "/proc/\(sidecar.process.pid)/task"
      // A login's thread may end while the list is read.
      let names = try FileManager.default.contentsOfDirectory(atPath: tasks).compactMap {
        try? String(contentsOfFile: "\(tasks)/\($0)/comm", encoding: .utf8).dropLast()
      }
      #expect(Set(names).subtracting(["login"]) == ["warmgate", "pool", "warmgate-health", "warmgate-admin"])
    }
  }
}
