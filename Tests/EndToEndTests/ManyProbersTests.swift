import Foundation
import Support
import Testing

@Suite("probers and the database", .timeLimit(.minutes(10)))
struct ManyProbersTests {
  @Test("a thousand probers at once cost the server not one statement and not one connection")
  func thousand() async throws {
    try #require(AbuseClients.canOpenThousands)
    // With the probe's next turn a minute away, whatever the server is asked meanwhile was asked for an answer.
    let flags = ["--probe-interval", "60s", "--probe-timeout", "1s"]
    try await withSidecarAndPostgres(flags, postgres: ["log_statement": "all"]) { sidecar, pg in
      try await sidecar.waitUntilReady()
      let statements = "app=warmgate/.* LOG:  (statement|execute|duration)"
      var before = (statements: -1, connections: -1)
      // Until it has settled: two looks, half a second apart, see the same.
      #expect(
        await eventually(every: .milliseconds(500)) {
          let now = (pg.countInLog(matching: statements), pg.connectionsReceived)
          defer { before = now }
          return now == before
        })
      #expect(before.statements > 0, "the log shows no statement at all, so it proves nothing")

      let paths = ["/ready", "/ready?verbose", "/live", "/startup", "/ready?format=json", "/ready/probe"]
      let statuses = try await blocking {
        let deadline = ContinuousClock.now + .seconds(60)
        let sockets = try (0..<1000).map { _ in try ClientSocket(sidecar.health.endpoint, deadline: deadline)
        }
        for (index, socket) in sockets.enumerated() {
          let head = "GET \(paths[index % paths.count]) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
          try socket.send(Array(head.utf8), deadline: deadline)
        }
        return sockets.map { socket in
          var bytes: [UInt8] = []
          while let more = socket.receive(deadline: deadline), !more.isEmpty { bytes += more }
          return String(decoding: bytes.prefix(15), as: UTF8.self)
        }
      }
      #expect(statuses.count { $0 == "HTTP/1.1 200 OK" } == 1000)
      #expect(pg.countInLog(matching: statements) == before.statements)
      #expect(pg.connectionsReceived == before.connections)
    }
  }

  @Test(
    "two hundred who ask ten times a second for seconds do not change what the database is asked, nor how often"
  )
  func rate() async throws {
    try #require(AbuseClients.canOpenThousands)
    let flags = ["--probe-interval", "1s", "--health-check-interval", "20m"]
    try await withSidecarAndPostgres(flags, postgres: ["log_statement": "all"]) { sidecar, pg in
      try await sidecar.waitUntilReady()
      let asked = "app=warmgate/.* LOG:  (statement|execute)"
      // What only the start needs (the room, the cluster) is asked first: then there is one question in each second.
      var before = pg.countInLog(matching: asked)
      #expect(
        await eventually(every: .seconds(1)) {
          let now = pg.countInLog(matching: asked)
          defer { before = now }
          return now - before <= 1
        })

      /// How often the server is asked something while `body` runs; and how often at most by what Warmgate does of
      /// itself: a probe each second, and a look for leaked sessions each ten.
      func statements(while body: () async throws -> Void) async throws -> (count: Int, due: Int, logins: Int)
      {
        let (count, logins) = (pg.countInLog(matching: asked), pg.connectionsReceived)
        let began = ContinuousClock.now
        try await body()
        let took = (ContinuousClock.now - began) / .seconds(1)
        return (
          pg.countInLog(matching: asked) - count, Int(took.rounded(.up)) + 1 + Int((took / 10).rounded(.up)),
          pg.connectionsReceived - logins
        )
      }
      let alone = try await statements { try await Task.sleep(for: .seconds(5)) }
      var answers = 0
      let crowded = try await statements {
        answers = try await AbuseClients.steady(200, everyTenthFor: 50, at: sidecar.health)
      }
      #expect(answers == 200 * 50)
      for seen in [alone, crowded] {
        #expect(
          seen.count > 0 && seen.count <= seen.due && seen.logins == 0, "alone \(alone), crowded \(crowded)")
      }
    }
  }
}
