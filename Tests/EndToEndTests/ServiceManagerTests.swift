import Foundation
import Support
import Testing

@Suite("systemd is told of the service's life (sd_notify)", .timeLimit(.minutes(5)))
struct ServiceManagerTests {
  private func notifying(
    _ manager: NotifySocket, _ more: [String: String] = [:]
  ) -> [String: String] {
    ["NOTIFY_SOCKET": manager.name].merging(more) { $1 }
  }

  @Test(
    "the start takes as long as the database is away, and is over at the first ready; a drain is no stop, SIGTERM is",
    arguments: [false, true])
  func life(abstract: Bool) async throws {
    let manager = try NotifySocket(abstract: abstract)
    try await withPostgres { pg in
      try await pg.stop()
      try await withSidecar(["--drain-delay", "0s"], url: pg.tcpURL(), environment: notifying(manager)) {
        sidecar in
        #expect(
          await eventually { manager.statuses.last == "not ready: warming 0/2, tcp: connection refused" },
          "\(manager.lines)")
        #expect(manager.values(of: "EXTEND_TIMEOUT_USEC") == ["60000000"])
        #expect(!manager.has("READY=1"))
        try await pg.start()
        try await sidecar.waitUntilReady()
        #expect(await eventually { manager.statuses.last == "ready" && manager.has("READY=1") })

        await pg.kill()
        #expect(await eventually { manager.statuses.last?.hasPrefix("not ready: ") == true })
        try await pg.start()
        #expect(await eventually { manager.statuses.last == "ready" })
        #expect(try await sidecar.post("/drain").status == 200)
        #expect(await eventually { manager.statuses.last == "not ready: drained" })
        #expect(try await sidecar.post("/resume").status == 200)
        #expect(await eventually { manager.statuses.last == "ready" })
        #expect(!manager.has("STOPPING=1"))

        #expect(await sidecar.terminate() == .exited(0))
        let lines = manager.lines
        #expect(lines.count { $0 == "READY=1" } == 1 && lines.count { $0 == "STOPPING=1" } == 1)
        #expect(manager.values(of: "EXTEND_TIMEOUT_USEC").last == "30000000")
        // Nobody asked to be told that it lives.
        #expect(!manager.has("WATCHDOG=1"))
        let each = manager.statuses
        #expect(zip(each, each.dropFirst()).allSatisfy { $0 != $1 }, "\(each)")
      }
    }
  }

  @Test("the watchdog hears of every beat while the loop beats, and nothing while it is stuck")
  func watchdog() async throws {
    let manager = try NotifySocket()
    try await withPostgres { pg in
      let environment = notifying(manager, ["WATCHDOG_USEC": "400000"])
      try await withSidecar(url: pg.unixURL, environment: environment) { sidecar in
        try await sidecar.waitUntilReady()
        func beats() -> Int { manager.lines.count { $0 == "WATCHDOG=1" } }
        #expect(await eventually { beats() >= 5 })
        // Of a debug build: for fifteen seconds, the loop does nothing.
        sidecar.process.signal(SIGUSR2)
        try await sidecar.waitUntil(503) { $0.body.contains("stalled") }
        #expect(await eventually { manager.statuses.last?.hasPrefix("not ready: stalled") == true })
        let stuck = beats()
        try await Task.sleep(for: .seconds(2))
        #expect(beats() == stuck)
        try await sidecar.waitUntilReady(within: .seconds(30))
        #expect(await eventually { beats() > stuck })
        // A drain is no reason to stop: the service lives, and is pinged for as long as it does.
        #expect(try await sidecar.post("/drain").status == 200)
        let drained = beats()
        #expect(await eventually { beats() > drained })
      }
    }
  }

  @Test("a watchdog of another process is not ours")
  func otherProcess() async throws {
    let manager = try NotifySocket()
    try await withPostgres { pg in
      let environment = notifying(manager, ["WATCHDOG_USEC": "10000", "WATCHDOG_PID": "1"])
      try await withSidecar(url: pg.unixURL, environment: environment) { sidecar in
        try await sidecar.waitUntilReady()
        #expect(await eventually { manager.has("READY=1") })
        #expect(!manager.has("WATCHDOG=1"))
      }
    }
  }

  @Test("an instance that starts drained has started; /quit stops when its drain is over")
  func drainedStart() async throws {
    let (manager, directory) = (try NotifySocket(), try TemporaryDirectory())
    defer { directory.remove() }
    let marker = try directory.write("drained", "")
    try await withPostgres { pg in
      try await withSidecar(["--drain-marker", marker], url: pg.unixURL, environment: notifying(manager)) {
        sidecar in
        #expect(await eventually { manager.has("READY=1") && manager.statuses.last == "not ready: drained" })
        #expect(!manager.has("STOPPING=1"))
        _ = try await sidecar.post("/quit")
        #expect(await sidecar.process.exit() == .exited(0))
        #expect(manager.has("STOPPING=1"))
      }
    }
  }

  @Test(
    "a socket that is not there, is full or is no socket name keeps nobody from work; the log says so once")
  func unusable() async throws {
    let directory = try TemporaryDirectory()
    defer { directory.remove() }
    try await withPostgres { pg in
      for name in [directory.file("nobody"), "vsock:2:1", "/" + String(repeating: "x", count: 200), "@"] {
        try await withSidecar(url: pg.unixURL, environment: ["NOTIFY_SOCKET": name]) { sidecar in
          try await sidecar.waitUntilReady()
          #expect(await sidecar.terminate() == .exited(0))
          let complaints = sidecar.log.filter { $0.level == "warn" }
          #expect(complaints.count == 1, "\(complaints)")
        }
      }
      // Nobody reads: the kernel keeps a few datagrams, and what did not fit comes when there is room.
      let manager = try NotifySocket()
      let environment = notifying(manager, ["WATCHDOG_USEC": "20000"])
      try await withSidecar(url: pg.unixURL, environment: environment) { sidecar in
        try await sidecar.waitUntilReady()
        #expect(
          await eventually {
            sidecar.log.contains { $0.message.hasPrefix("the service manager takes no message") }
          })
        #expect(try await sidecar.ready().status == 200)
        #expect(await eventually { manager.has("READY=1") && manager.statuses.last == "ready" })
      }
    }
  }

  @Test("without NOTIFY_SOCKET nothing is sent and nobody wakes the main thread")
  func unset() async throws {
    try await withSidecarAndPostgres { sidecar, _ in
      try await sidecar.waitUntilReady()
      let status = "/proc/\(sidecar.process.pid)/task/\(sidecar.process.pid)/status"
      func switches() throws -> Int {
        let line = try String(contentsOfFile: status, encoding: .utf8).split(separator: "\n")
          .first { $0.hasPrefix("voluntary_ctxt_switches") }
        return try #require(line?.split(separator: "\t").last.flatMap { Int($0) })
      }
      let before = try switches()
      try await Task.sleep(for: .seconds(3))
      // Once in its life it wakes by itself, when the start is over.
      #expect(try switches() <= before + 1)
    }
  }

  // MARK: - The unit

  private static let unit =
    URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().path + "/examples/systemd/warmgate.service"

  @Test("systemd accepts the example's unit as it is, and finds it well confined", .needsSystemdAnalyze)
  func unit() async throws {
    let directory = try TemporaryDirectory()
    defer { directory.remove() }
    let text = try String(contentsOfFile: Self.unit, encoding: .utf8)
      .replacing("/usr/local/bin/warmgate", with: ServedProcess.executable)
    let file = try directory.write("warmgate.service", text)
    let verified = try await run(["systemd-analyze", "verify", file])
    #expect(
      verified.status == .exited(0) && !verified.errors.contains("warmgate.service:"), "\(verified.errors)")
    // In tenths: 1.3 of 10 with systemd 252.
    let confined = try await run([
      "systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", file,
    ])
    #expect(confined.status == .exited(0), "\(confined.output.suffix(200))\(confined.errors)")
  }
}

extension Trait where Self == ConditionTrait {
  /// Skips a test, by name, where systemd's own checker is not installed.
  fileprivate static var needsSystemdAnalyze: Self {
    .enabled(
      if: FileManager.default.isExecutableFile(atPath: "/usr/bin/systemd-analyze"), "no systemd-analyze here")
  }
}
