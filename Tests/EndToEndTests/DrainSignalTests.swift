import Foundation
import Support
import Testing

@Suite("SIGTERM and SIGINT", .timeLimit(.minutes(10)))
struct DrainSignalTests {
  /// So long that whoever waited for one of them would fail the test.
  static let patient = ["--drain-delay", "60s", "--drain-timeout", "120s"]

  @Test("alone, they drain first and exit 0", arguments: [SIGTERM, SIGINT])
  func alone(signal: Int32) async throws {
    try await withSidecarAndPostgres(Self.patient + ["--min-connections", "3"]) { sidecar, pg in
      try await sidecar.waitUntilReady()
      sidecar.process.signal(signal)
      // Nobody uses the pool, so nobody needs the delay.
      #expect(await sidecar.process.exit(within: .seconds(20)) == .exited(0))
      #expect(sidecar.states.map(\.state) == ["warming", "ready", "draining", "drained"])
      #expect(sidecar.log("stopped").count == 1)
      await pg.expectCleanEnds(3)
    }
  }

  @Test("after a drain they exit 0 at once")
  func afterDrain() async throws {
    try await withSidecarAndPostgres(["--drain-delay", "0s", "--drain-timeout", "120s"]) { sidecar, pg in
      try await sidecar.waitUntilReady()
      #expect(try await sidecar.post("/drain").status == 200)
      let began = ContinuousClock.now
      #expect(await sidecar.terminate(within: .seconds(20)) == .exited(0))
      #expect(ContinuousClock.now - began < .seconds(5))
      #expect(sidecar.states.map(\.state) == ["warming", "ready", "draining", "drained"])
      await pg.expectCleanEnds(2)
    }
  }

  @Test(
    "during the lame duck of a drain that nobody needs, they end it; the caller that waits gets its counts")
  func duringDrain() async throws {
    try await withSidecarAndPostgres(Self.patient) { sidecar, pg in
      try await sidecar.waitUntilReady()
      async let drain = sidecar.post("/drain")
      try await sidecar.waitForState("draining")
      #expect(await sidecar.terminate(within: .seconds(20)) == .exited(0))
      let answer = try await drain
      #expect(answer.status == 200)
      #expect(
        answer.body == "drained: 0 leases finished, 0 cut off, 0 waiting refused, 2 connections closed\n")
      await pg.expectCleanEnds(2)
    }
  }

  @Test(
    "before the first login, and before there is a server, they exit 0 within a second",
    arguments: [SIGTERM, SIGINT])
  func beforeReady(signal: Int32) async throws {
    // Nothing listens at this port.
    let url = "postgresql://postgres:secret@127.0.0.1:\(freePort())/postgres"
    try await expectFastEnd(url: url, signal: signal)
  }

  @Test("while a login hangs in a server that does not answer, they exit 0 within a second")
  func duringHungLogin() async throws {
    try await withPostgres { pg in
      await pg.suspend()
      try await expectFastEnd(url: pg.tcpURL(), signal: SIGTERM)
    }
  }

  @Test("with sessions that hang, after ready, they exit 0 within a second")
  func withHungSessions() async throws {
    try await withPostgres { pg in
      try await expectFastEnd(url: pg.tcpURL(), signal: SIGTERM) { sidecar in
        await pg.resume()
        try await sidecar.waitUntilReady()
        await pg.suspend()
        // The probe waits in vain, and so does the login that is tried beside it.
        try await sidecar.waitUntil(503, within: .seconds(30))
      }
    }
  }

  /// The fastest of three counts: a busy machine may be slow, a program that waits for something is slow each time.
  private func expectFastEnd(
    url: String, signal: Int32, prepare: (RunningSidecar) async throws -> Void = { _ in }
  ) async throws {
    var times: [Duration] = []
    while times.count < 3, times.min() ?? .seconds(9) > .seconds(1) {
      try await withSidecar(Self.patient + ["--connect-timeout", "30s"], url: url) { sidecar in
        #expect(await sidecar.logEntry { $0.state == "warming" } != nil)
        try await prepare(sidecar)
        let began = ContinuousClock.now
        sidecar.process.signal(signal)
        #expect(await sidecar.process.exit(within: .seconds(20)) == .exited(0), "\(sidecar.process.logText)")
        times.append(ContinuousClock.now - began)
        #expect(sidecar.states.last?.state == "drained")
      }
    }
    #expect(times.contains { $0 <= .seconds(1) }, "took \(times)")
  }

  @Test("work as PID 1 of a container", .needsPIDNamespaces, arguments: [SIGTERM, SIGINT])
  func pidOne(signal: Int32) async throws {
    try await withPostgres { pg in
      let sidecar = try await RunningSidecar.started(
        ["--drain-timeout", "120s"], url: pg.unixURL, wrapper: pidNamespace)
      defer { sidecar.process.signal(SIGKILL) }
      try await sidecar.waitUntilReady()
      // The wrapper waits for its only child, which the kernel treats as it treats every init.
      let child = try #require(childProcesses(of: sidecar.process.pid).first)
      let status = try String(contentsOfFile: "/proc/\(child)/status", encoding: .utf8)
      let ids = try #require(status.split(separator: "\n").first { $0.hasPrefix("NSpid:") })
      #expect(ids.split(separator: "\t").last == "1")
      kill(child, signal)
      #expect(await sidecar.process.exit(within: .seconds(20)) == .exited(0))
      #expect(sidecar.states.map(\.state) == ["warming", "ready", "draining", "drained"])
      await pg.expectCleanEnds(2)
    }
  }

  @Test(
    "a probe under way when they come is answered: no statement is cancelled, no session ends without a word")
  func duringProbe() async throws {
    let slow = "select pg_sleep(0.25)"
    try await withSidecarAndPostgres(["--probe-query", slow, "--probe-interval", "1s"]) { sidecar, pg in
      try await sidecar.waitUntilReady()
      let isAsked = "select count(*) > 0 from pg_stat_activity where state = 'active' and query = '\(slow)'"
      #expect(await eventually { (try? await pg.sql(isAsked)) == "t" })
      sidecar.process.signal(SIGTERM)
      #expect(await sidecar.process.exit(within: .seconds(20)) == .exited(0))
      await pg.expectCleanEnds(2)
      #expect(pg.logLines(matching: "canceling statement") == [])
    }
  }

  @Test("POST /quit answers, drains with the delay, and exits 0")
  func quit() async throws {
    try await withSidecarAndPostgres(["--drain-delay", "2s"]) { sidecar, pg in
      try await sidecar.waitUntilReady()
      let answer = try await sidecar.post("/quit")
      #expect(answer.status == 202)
      #expect(answer.body == "draining, then ending\n")
      try await sidecar.waitForState("draining")
      #expect(await sidecar.process.exit(within: .seconds(20)) == .exited(0))
      let (began, ended) = (
        try #require(sidecar.time(of: "draining")), try #require(sidecar.time(of: "drained"))
      )
      #expect(ended - began >= 2)
      await pg.expectCleanEnds(2)
    }
  }
}

/// What only a stuck loop can show: nothing else keeps a drain without leases from ending at once. The hook that blocks
/// the loop exists in debug builds.
@Suite(
  "SIGTERM while the loop is stuck", .timeLimit(.minutes(10)),
  .enabled(if: isDebugBuild, "the hook that blocks the loop exists in debug builds only"))
struct DrainStuckLoopTests {
  @Test(
    "a second SIGTERM ends the process at once, and the caller that waits for a drain is not left hanging")
  func second() async throws {
    try await withSidecarAndPostgres(DrainSignalTests.patient) { sidecar, _ in
      try await sidecar.waitUntilReady()
      async let drain = sidecar.post("/drain")
      try await sidecar.waitForState("draining")
      try await block(sidecar)
      sidecar.process.terminate()
      #expect(await sidecar.logEntry { $0.message == "SIGTERM: ending" } != nil)
      // The loop is stuck for fifteen seconds, so the first one has to wait.
      try await Task.sleep(for: .milliseconds(500))
      #expect(sidecar.process.isRunning)
      let began = ContinuousClock.now
      #expect(await sidecar.terminate(within: .seconds(20)) == .exited(0))
      #expect(ContinuousClock.now - began < .seconds(5))
      let answer = try await drain
      #expect(answer.status == 503)
      #expect(answer.body == "ending: the drain was not waited for\n")
      #expect(sidecar.log("SIGTERM again: ending at once").count == 1)
    }
  }

  @Test("one SIGTERM ends it when the time for a drain has passed")
  func deadline() async throws {
    try await withSidecarAndPostgres(["--drain-delay", "0s", "--drain-timeout", "2s"]) { sidecar, _ in
      try await sidecar.waitUntilReady()
      try await block(sidecar)
      let began = ContinuousClock.now
      #expect(await sidecar.terminate(within: .seconds(30)) == .exited(0))
      #expect(ContinuousClock.now - began < .seconds(10))
      #expect(sidecar.log("the drain did not end in time: ending at once").map(\.level) == ["error"])
    }
  }

  private func block(_ sidecar: RunningSidecar) async throws {
    sidecar.process.signal(SIGUSR2)
    #expect(await eventually { try await sidecar.status()["heartbeat_age"].double ?? 0 > 1 })
  }
}

private var isDebugBuild: Bool {
  #if DEBUG
    ProcessInfo.processInfo.environment["WARMGATE_EXECUTABLE"] == nil
  #else
    false
  #endif
}

/// Runs what follows as PID 1 of a PID namespace, and kills it when the wrapper is killed.
private let pidNamespace = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]

extension Trait where Self == ConditionTrait {
  /// Skips a test, by name, where PID namespaces cannot be made.
  fileprivate static var needsPIDNamespaces: Self {
    .enabled("PID namespaces cannot be made here") { try await run(pidNamespace + ["true"]).succeeded }
  }
}
