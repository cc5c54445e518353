import Foundation
import Support
import Testing

@Suite("resume", .timeLimit(.minutes(10)))
struct DrainResumeTests {
  @Test("warms again and returns to ready; a drain can follow again")
  func fromDrained() async throws {
    try await withSidecarAndPostgres(["--drain-delay", "0s", "--min-connections", "3"]) { sidecar, pg in
      try await sidecar.waitUntilReady()
      for round in 1...2 {
        #expect(try await sidecar.post("/drain").status == 200)
        #expect(try await pg.sessions() == 0)
        #expect(try await sidecar.ready().firstLine == "not ready: drained")
        let resumed = try await sidecar.post("/resume")
        #expect(resumed.status == 200)
        #expect(resumed.body == "resumed\n")
        try await sidecar.waitUntilReady()
        #expect(try await pg.sessions() == 3)
        let cycle =
          ["warming", "ready"]
          + Array(repeating: ["draining", "drained", "warming", "ready"], count: round)
          .flatMap { $0 }
        #expect(await eventually { sidecar.states.map(\.state) == cycle }, "\(sidecar.states)")
      }
      // Only sessions that were ended by us, three for each drain.
      await pg.expectCleanEnds(6)
    }
  }

  @Test("in the middle of a drain it keeps the sessions, and the caller that waits for the drain gets 409")
  func fromDraining() async throws {
    try await withSidecarAndPostgres(["--drain-delay", "60s", "--drain-timeout", "120s"]) { sidecar, pg in
      try await sidecar.waitUntilReady()
      async let drain = sidecar.post("/drain")
      try await sidecar.waitForState("draining")
      #expect(try await sidecar.post("/resume").status == 200)
      let answer = try await drain
      #expect(answer.status == 409)
      #expect(answer.body == "the drain was taken back by a resume\n")
      try await sidecar.waitUntilReady()
      #expect(try await pg.sessions() == 2)
      #expect(pg.countInLog(matching: "app=warmgate/.* disconnection") == 0)
      #expect(try await sidecar.status()["drain"] == .null)
    }
  }

  @Test("when nothing is drained it changes nothing")
  func whenReady() async throws {
    try await withSidecarAndPostgres { sidecar, _ in
      try await sidecar.waitUntilReady()
      #expect(try await sidecar.post("/resume").status == 200)
      #expect(try await sidecar.ready().status == 200)
      #expect(await eventually { sidecar.states.map(\.state) == ["warming", "ready"] })
    }
  }

  @Test("is refused with 409 after SIGTERM")
  func afterTermination() async throws {
    try await withPostgres { pg in
      // A login that hangs gives a termination half a second of life, in which the request's last bytes are sent.
      await pg.suspend()
      for _ in 0..<10 {
        let (done, log) = try await withSidecar(url: pg.unixURL) { sidecar in
          let client = try await sidecar.admin.connect()
          try await client.send(
            Array("POST /resume HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n".utf8))
          _ = await sidecar.logEntry { $0.state == "warming" }
          sidecar.process.terminate()
          guard await sidecar.logEntry(where: { $0.message == "SIGTERM: ending" }) != nil else {
            return (false, sidecar.process.logText)
          }
          guard (try? await client.send(Array("\r\n".utf8))) != nil,
            let answer = try? await client.answer(toMethod: "POST")
          else { return (false, sidecar.process.logText) }
          #expect(await sidecar.process.exit(within: .seconds(10)) == .exited(0))
          // The process may have been over first; then there was nobody to refuse.
          guard answer.status != 503 else { return (false, sidecar.process.logText) }
          #expect(answer.status == 409)
          #expect(answer.body == "the process is ending\n")
          let refused = sidecar.log("POST /resume refused")
          #expect(refused.map(\.level) == ["error"])
          #expect(refused.first?["status"].int == 409)
          return (true, "")
        }
        if done { return }
        if log.isEmpty { return }
      }
      Issue.record("in ten attempts, never between SIGTERM and the end")
    }
  }
}
