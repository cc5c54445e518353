import Foundation
import Support
import Testing

/// `--when-database-lost`. A cause that the server named: it shuts down and comes back as a standby that answers 57P03 to
/// every login, for as long as the test wants. Silence: all its processes are stopped. Refusal: they are killed.
@Suite("when the database is lost")
struct DatabaseLostPolicyTests {
  /// Faster than the default, with the usual time for an answer.
  static let probing = ["--probe-interval", "2s"]

  enum Loss: CaseIterable, CustomTestStringConvertible {
    case named, silence, refusal

    var testDescription: String {
      switch self {
      case .named: "the server says 57P03"
      case .silence: "the server is silent"
      case .refusal: "nothing listens"
      }
    }

    func happen(to pg: TestPostgres) async throws {
      switch self {
      case .named: try await pg.becomeStarting()
      case .silence: await pg.suspend()
      case .refusal: await pg.kill()
      }
    }

    func end(on pg: TestPostgres) async throws {
      switch self {
      case .named: try await pg.stopStarting()
      case .silence: await pg.resume()
      case .refusal: try await pg.start()
      }
    }
  }

  @Test("unready: 503, whatever the cause", arguments: Loss.allCases)
  func unready(_ loss: Loss) async throws {
    try await Self.lose(loss, policy: "unready") { _, observer in
      let lost = try #require(await observer.first(within: .seconds(20)) { $0.status != 200 })
      #expect(lost.status == 503)
      #expect(!observer.observations.contains { $0.line?.contains("held") == true })
    }
  }

  @Test("hold=3s: ready for three seconds more when the server named the cause, and then 503")
  func holdNamed() async throws {
    try await Self.lose(.named, policy: "hold=3s") { sidecar, observer in
      try await Self.expectHeld(3, sidecar, observer)
    }
  }

  @Test("hold=3s: refusal after the server said that it shuts down is that same shutdown")
  func holdShutDown() async throws {
    try await withSidecarAndPostgres(Self.probing + ["--when-database-lost", "hold=3s"]) { sidecar, pg in
      try await sidecar.waitUntilReady()
      let observer = sidecar.observer()
      #expect(await observer.first { _ in true }?.status == 200)
      try await pg.stop(.fast)
      try await Self.expectHeld(3, sidecar, observer)
    }
  }

  @Test(
    "hold=3s: 503 on silence and on refusal, which may be this instance alone",
    arguments: [Loss.silence, .refusal])
  func holdUnnamed(_ loss: Loss) async throws {
    try await Self.lose(loss, policy: "hold=3s") { sidecar, observer in
      let lost = try #require(await observer.first(within: .seconds(20)) { $0.status != 200 })
      #expect(lost.status == 503)
      #expect(
        sidecar.log.filter { $0["degraded"].bool == true && $0.reasons.contains { $0.contains("held") } }
          .isEmpty)
    }
  }

  @Test("stay: ready without limit when the server named the cause, but not in a drain")
  func stayNamed() async throws {
    try await Self.lose(.named, policy: "stay", returns: false) { sidecar, observer in
      let began = ContinuousClock.now
      try await sidecar.waitUntil(200) { $0.body.hasPrefix("ready\ndegraded: held by policy: 57P03 ") }
      // Longer than silence would be borne.
      while ContinuousClock.now < began + .seconds(35) {
        let answer = try await sidecar.ready()
        try #require(answer.status == 200)
        try #require(answer["x-envoy-degraded"] == "true")
        try #require(answer.body.hasPrefix("ready\ndegraded: held by policy: "))
        try await Task.sleep(for: .milliseconds(200))
      }
      #expect(observer.observations.statuses == [200])

      let asked = ContinuousClock.now
      #expect(try await sidecar.post("/drain?wait=0").status == 202)
      let draining = try await sidecar.ready()
      #expect(draining.status == 503)
      #expect(draining.firstLine == "not ready: draining" || draining.firstLine == "not ready: drained")
      #expect(await eventually { try await sidecar.status()["state"] == .string("drained") })
      #expect(await observer.stop().begun(from: asked).statuses.last == 503)
      #expect(observer.observations.statuses == [200, 503])
    }
  }

  @Test("stay: ready for 30 s on silence and on refusal, and then 503", arguments: [Loss.silence, .refusal])
  func stayUnnamed(_ loss: Loss) async throws {
    try await Self.lose(loss, policy: "stay") { sidecar, observer in
      try await Self.expectHeld(30, sidecar, observer)
    }
  }

  @Test(
    "no policy applies before the first ready", arguments: ["hold=30s", "stay"], [Loss.named, .silence])
  func beforeFirstReady(_ policy: String, _ loss: Loss) async throws {
    try await withPostgres { pg in
      try await loss.happen(to: pg)
      try await withSidecar(Self.probing + ["--when-database-lost", policy], url: pg.tcpURL()) { sidecar in
        let observer = sidecar.observer()
        let cause = loss == .named ? "57P03 " : "no answer in time"
        let answer = try await sidecar.waitUntil(503, within: .seconds(30)) { $0.body.contains(cause) }
        #expect(answer.firstLine.hasPrefix("not ready: warming 0/2, "))
        #expect(
          await eventually(within: .seconds(30)) {
            try await sidecar.status()["login"]["failures_in_row"].int ?? 0 > 1
          })
        #expect(observer.observations.statuses == [503])
        let ended = ContinuousClock.now
        try await loss.end(on: pg)
        try await sidecar.waitUntilReady(within: .seconds(30))
        let seen = await observer.stop()
        #expect(seen.answered(before: ended).statuses == [503])
        #expect(seen.statuses == [503, 200])
      }
    }
  }

  /// Ready, degraded by policy, for about this many seconds since the loss was noticed; 503 from then on.
  private static func expectHeld(_ seconds: Int, _ sidecar: RunningSidecar, _ observer: Observer) async throws
  {
    let held = try await sidecar.waitUntil(200) { $0.body.hasPrefix("ready\ndegraded: held by policy: ") }
    #expect(held["x-envoy-degraded"] == "true")
    let lost = try #require(
      await observer.first(within: .seconds(seconds + 20)) { $0.status != 200 })
    #expect(lost.status == 503)
    #expect(observer.observations.answered(before: lost.at).statuses == [200])
    // By the sidecar's own clock: this machine may be slow, the policy must not be early.
    let began = try #require(
      sidecar.log.first { entry in entry.reasons.contains { $0.hasPrefix("held by policy: ") } })
    #expect(began.state == "ready")
    let ended = try #require(await sidecar.logEntry { $0.state == "unready" })
    let time = (ended["boottime"].double ?? 0) - (began["boottime"].double ?? 0)
    #expect(time > Double(seconds) - 0.001)
    #expect(time < Double(seconds) + 2)
  }

  /// Runs `body` with a sidecar that was ready when the database was lost; unless told otherwise, 503 is to stay until
  /// the database returns, and the sidecar to be ready after that.
  private static func lose(
    _ loss: Loss, policy: String, returns: Bool = true,
    _ body: (RunningSidecar, Observer) async throws -> Void
  ) async throws {
    try await withSidecarAndPostgres(probing + ["--when-database-lost", policy]) { sidecar, pg in
      try await sidecar.waitUntilReady()
      let observer = sidecar.observer()
      #expect(await observer.first { _ in true }?.status == 200)
      try await loss.happen(to: pg)
      try await body(sidecar, observer)
      guard returns else { return }
      if loss == .named {
        try await sidecar.waitUntil(503) { $0.body.contains("57P03 ") }
      }
      let ended = ContinuousClock.now
      try await loss.end(on: pg)
      try await sidecar.waitUntil(200, within: .seconds(30)) { $0.body == "ready\n" }
      let seen = await observer.stop()
      #expect(seen.answered(before: ended).statuses == [200, 503])
      #expect(seen.statuses == [200, 503, 200])
    }
  }
}

extension TestPostgres {
  /// Shuts the server down in the usual way, and starts it as a standby that never lets anybody in: it answers 57P03 to
  /// every login.
  fileprivate func becomeStarting() async throws {
    try await stop(.fast)
    _ = FileManager.default.createFile(atPath: dataDirectory + "/standby.signal", contents: nil)
    try await start(["hot_standby": "off"])
  }

  fileprivate func stopStarting() async throws {
    try await stop(.fast)
    try FileManager.default.removeItem(atPath: dataDirectory + "/standby.signal")
    try await start(["hot_standby": "on"])
  }
}
