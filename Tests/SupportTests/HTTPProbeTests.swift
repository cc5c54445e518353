import Foundation
import Support
import Testing

@Suite("the HTTP probe")
struct HTTPProbeTests {
  static func text(_ status: String, _ body: String) -> String {
    "HTTP/1.1 \(status)\r\nContent-Length: \(body.utf8.count)\r\nX-Test: yes\r\n\r\n\(body)"
  }

  @Test("reads status, headers and body")
  func reads() async throws {
    let server = try CannedServer(Self.text("503 Service Unavailable", "not ready\nmore"))
    let answer = try await HTTPProbe(port: server.port).request("GET", "/ready")
    #expect(answer.status == 503)
    #expect(answer["x-test"] == "yes")
    #expect(answer.body == "not ready\nmore")
    #expect(answer.firstLine == "not ready")
  }

  @Test("tells refused, cut off and silent apart")
  func failures() async throws {
    await #expect(throws: ProbeError.refused) { try await HTTPProbe(port: freePort()).request("GET", "/") }
    await #expect(throws: ProbeError.refused) {
      try await HTTPProbe(.unix("/tmp/no-such-socket")).request("GET", "/")
    }
    let server = try CannedServer("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
    await #expect {
      try await HTTPProbe(port: server.port).request("GET", "/")
    } throws: { error in
      if case ProbeError.closed(let received) = error { received.hasSuffix("short") } else { false }
    }
    try await withPostgres { pg in
      // PostgreSQL waits for a startup packet of the length that "GET " spells: silence.
      await pg.suspend()
      await #expect(throws: ProbeError.timedOut(received: "")) {
        try await HTTPProbe(port: pg.port).request("GET", "/", within: .milliseconds(300))
      }
    }
  }

  @Test("the observer keeps the order of answers")
  func observer() async throws {
    let server = try CannedServer(Self.text("503 Service Unavailable", "warming 0/2\n"))
    let observer = Observer(HTTPProbe(port: server.port), every: .milliseconds(5))
    #expect(await observer.first { $0.status == 503 } != nil)
    server.willAnswer(Self.text("200 OK", "ready\n"))
    #expect(await observer.first { $0.status == 200 } != nil)
    #expect(await observer.stop().changes == ["503 warming 0/2", "200 ready"])
  }
}
