import Foundation
import Support
import Testing

@Suite("--drain-marker", .timeLimit(.minutes(10)))
struct DrainMarkerTests {
  @Test(
    "a drain survives a SIGKILL of Warmgate: it starts drained, connects to nothing, and a resume brings it back"
  )
  func survives() async throws {
    try await withMarker { marker, directory in
      try await withPostgres { pg in
        let flags = ["--drain-marker", marker, "--drain-delay", "0s"]
        try await withSidecar(flags, url: pg.unixURL) { sidecar in
          try await sidecar.waitUntilReady()
          #expect(!exists(marker))
          #expect(try await sidecar.post("/drain").status == 200)
          #expect(exists(marker))
          await sidecar.process.kill()
        }

        let logins = pg.connectionsReceived
        try await withSidecar(flags, url: pg.unixURL) { sidecar in
          let observer = sidecar.observer()
          // Long enough for many a login: looked at for two seconds.
          let end = ContinuousClock.now + .seconds(2)
          while ContinuousClock.now < end {
            let ready = try await sidecar.ready()
            #expect(ready.status == 503 && ready.firstLine == "not ready: drained")
            #expect(ready["x-envoy-immediate-health-check-fail"] == "true")
            #expect(try await sidecar.startup().status == 503)
            #expect(try await sidecar.live().status == 200)
            try await Task.sleep(for: .milliseconds(50))
          }
          #expect(pg.connectionsReceived == logins)
          #expect(
            sidecar.log.contains {
              $0.level == "warn" && $0["marker"].string == marker && $0["state"] == .null
            })
          #expect(exists(marker))

          let resumed = try await warmgate("resume", "--url", "http://127.0.0.1:\(sidecar.adminPort)")
          #expect(resumed.status == .exited(0))
          #expect(resumed.output == "resumed\n")
          try await sidecar.waitUntilReady()
          #expect(!exists(marker))
          #expect(try await pg.sessions() == 2)
          let changes = await observer.stop().changes
          #expect(changes.first == "503 not ready: drained")
          #expect(changes.last == "200 ready")

          // Another restart is none of a drained instance.
          await sidecar.process.kill()
        }
        try await withSidecar(flags, url: pg.unixURL) { _ = try await $0.waitUntilReady() }
      }
    }
  }

  @Test("a drain that nobody waits for has left its marker when it is answered")
  func survivesAtOnce() async throws {
    try await withMarker { marker, _ in
      try await withPostgres { pg in
        let flags = ["--drain-marker", marker, "--drain-delay", "60s", "--drain-timeout", "90s"]
        try await withSidecar(flags, url: pg.unixURL) { sidecar in
          try await sidecar.waitUntilReady()
          #expect(try await sidecar.post("/drain?wait=0").status == 202)
          await sidecar.process.kill()
        }
        try await withSidecar(flags, url: pg.unixURL) { sidecar in
          let ready = try await sidecar.ready()
          #expect(ready.firstLine == "not ready: drained")
          // What is drained ends at once.
          #expect(await sidecar.terminate(within: .seconds(20)) == .exited(0))
        }
        #expect(exists(marker))
      }
    }
  }

  @Test("SIGTERM alone writes none: a restarted container comes back")
  func termination() async throws {
    try await withMarker { marker, _ in
      try await withSidecarAndPostgres(["--drain-marker", marker]) { sidecar, _ in
        try await sidecar.waitUntilReady()
        #expect(await sidecar.terminate() == .exited(0))
        #expect(sidecar.states.map(\.state).last == "drained")
        #expect(!exists(marker))
      }
    }
  }

  @Test("a marker that cannot be written is an error in the log, and the drain happens all the same")
  func notWritable() async throws {
    try await withMarker { marker, directory in
      try await withSidecarAndPostgres(["--drain-marker", marker, "--drain-delay", "0s"]) { sidecar, pg in
        try await sidecar.waitUntilReady()
        directory.remove()
        let answer = try await sidecar.post("/drain")
        #expect(answer.status == 200)
        #expect(answer.firstLine.hasPrefix("drained: "))
        #expect(try await sidecar.ready().firstLine == "not ready: drained")
        try await sidecar.waitForState("drained")
        let errors = sidecar.log.filter { $0.level == "error" }
        #expect(errors.map(\.message) == ["cannot write the drain marker: No such file or directory"])
        #expect(errors.first?["marker"].string == marker)
        await pg.expectCleanEnds(2)
      }
    }
  }

  private func withMarker(_ body: (String, TemporaryDirectory) async throws -> Void) async throws {
    let directory = try TemporaryDirectory()
    try await body(directory.file("drained"), directory)
    directory.remove()
  }

  private func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }
}
