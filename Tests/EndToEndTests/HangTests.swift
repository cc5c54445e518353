import Support
import Testing

/// The database neither answers nor hangs up. At default settings: a probe each 5 s, with a second to answer.
@Suite("the database hangs", .serialized)
struct HangTests {
  /// Probe interval and three probe timeouts, and what it takes to ask.
  static let noticed: Duration = .seconds(5) + .seconds(3) + .milliseconds(250)

  @Test("every server process stopped: 503 in time, prompt answers throughout, ready again when they go on")
  func stopped() async throws {
    try await withSidecarAndPostgres(wrapper: PromptAnswers.wrapper) { sidecar, pg in
      try await Self.expectSurvival(of: sidecar) {
        await pg.suspend()
      } end: {
        await pg.resume()
      }
    }
  }

  @Test(
    "packets dropped on the way: 503 in time, prompt answers throughout, ready again when they flow",
    .needsNetworkNamespaces)
  func partition() async throws {
    try await withPartitionedSidecar { sidecar, path in
      try await Self.expectSurvival(of: sidecar) {
        try await path.drop()
      } end: {
        try await path.heal()
      }
    }
  }

  /// When SIGTERM comes: while the probe waits for its answer, or when a login hangs.
  enum Moment: CaseIterable { case unnoticed, unready }

  @Test("every server process stopped: SIGTERM ends the sidecar in time", arguments: Moment.allCases)
  func terminatedWhileStopped(_ moment: Moment) async throws {
    try await withSidecarAndPostgres(wrapper: PromptAnswers.wrapper) { sidecar, pg in
      try await Self.expectEnd(of: sidecar, at: moment) { await pg.suspend() }
    }
  }

  @Test(
    "packets dropped on the way: SIGTERM ends the sidecar in time", .needsNetworkNamespaces,
    arguments: Moment.allCases)
  func terminatedWhilePartitioned(_ moment: Moment) async throws {
    try await withPartitionedSidecar { sidecar, path in
      try await Self.expectEnd(of: sidecar, at: moment) { try await path.drop() }
    }
  }

  private static func expectSurvival(
    of sidecar: RunningSidecar, hang: () async throws -> Void, end: () async throws -> Void
  ) async throws {
    try await sidecar.waitUntilReady()
    let answers = try PromptAnswers(of: sidecar, ["/ready", "/live", "/startup", "/ready?format=json"])
    let ready = try answers["/ready"]

    let began = ContinuousClock.now
    try await hang()
    let lost = try #require(await ready.first(since: began, within: .seconds(20)) { $0.status != 200 })
    #expect(lost.status == 503)
    #expect(lost.answered.since(began) < noticed)
    #expect(lost.line?.contains("no answer in time") == true, "\(lost)")
    // Logins hang too, for longer than a probe may; one is given up and the next tried meanwhile.
    #expect(
      await eventually(within: .seconds(30)) {
        try await sidecar.status()["login"]["failures_in_row"].int ?? 0 > 0
      })
    let ended = ContinuousClock.now
    #expect(ready.observations.begun(from: lost.at).answered(before: ended).statuses == [503])

    try await end()
    try await sidecar.waitUntilReady(within: .seconds(30))
    let seen = await ready.stop()
    #expect(seen.statuses == [200, 503, 200])
    await answers.expect()
    #expect(try answers["/live"].observations.statuses == [200], "/live is never about the database")
    #expect(try answers["/startup"].observations.statuses == [200], "/startup latches")
  }

  private static func expectEnd(
    of sidecar: RunningSidecar, at moment: Moment, hang: () async throws -> Void
  ) async throws {
    try await sidecar.waitUntilReady()
    try await hang()
    if moment == .unready { try await sidecar.waitUntil(503) }
    let asked = ContinuousClock.now
    // A native sidecar gets the signal after the other containers are gone, with about two seconds left.
    #expect(await sidecar.terminate(within: .seconds(30)) == .exited(0))
    #expect(ContinuousClock.now.since(asked) < .seconds(2))
  }
}

/// A sidecar on one machine and its PostgreSQL on another, with a router between them.
private func withPartitionedSidecar(_ body: (RunningSidecar, NetworkPath) async throws -> Void) async throws {
  let path = try await NetworkPath()
  defer { path.remove() }
  try await withPostgres(namespace: path.server, address: NetworkPath.serverAddress) { pg in
    try await withSidecar(url: pg.tcpURL(), namespace: path.client, wrapper: PromptAnswers.wrapper) {
      try await body($0, path)
    }
  }
}
