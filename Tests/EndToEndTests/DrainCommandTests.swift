import Foundation
import Support
import Testing

@Suite("warmgate drain, resume, probe and wait beside a running sidecar", .timeLimit(.minutes(10)))
struct DrainCommandTests {
  /// The ways to an admin listener.
  enum Way: String, CaseIterable, Sendable {
    case tcp, unix
  }

  /// A sidecar, where its admin listener is (`--url`), and how a test asks that directly.
  private func withAdmin(
    _ way: Way, _ flags: [String] = [],
    _ body: (_ sidecar: RunningSidecar, _ url: String, _ admin: HTTPProbe, TestPostgres) async throws -> Void
  ) async throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("admin.sock")
    let own = way == .unix ? ["--admin-listen", "unix:\(path)"] : []
    try await withSidecarAndPostgres(own + flags) { sidecar, pg in
      try await sidecar.waitUntilReady()
      switch way {
      case .tcp: try await body(sidecar, "http://127.0.0.1:\(sidecar.adminPort)", sidecar.admin, pg)
      case .unix: try await body(sidecar, "unix:\(path)", HTTPProbe(.unix(path)), pg)
      }
    }
    directory.remove()
  }

  private static let counts =
    "drained: 0 leases finished, 0 cut off, 0 waiting refused, 2 connections closed\n"

  @Test("drain waits and prints the counts, resume brings the sidecar back", arguments: Way.allCases)
  func drainAndResume(way: Way) async throws {
    try await withAdmin(way, ["--drain-delay", "1s"]) { sidecar, url, _, pg in
      let began = ContinuousClock.now
      let drained = try await warmgate("drain", "--url", url)
      #expect(drained.status == .exited(0))
      #expect(drained.output == Self.counts)
      #expect(drained.errors == "")
      #expect(ContinuousClock.now - began >= .seconds(1))
      #expect(try await sidecar.ready().firstLine == "not ready: drained")
      await pg.expectCleanEnds(2)

      let resumed = try await warmgate("resume", "--url", url)
      #expect(resumed.status == .exited(0))
      #expect(resumed.output == "resumed\n")
      try await sidecar.waitUntilReady()

      // The address comes from the environment that serve reads, so inside the container nothing has to be said.
      let listen = url.replacingOccurrences(of: "http://", with: "")
      let json = try await warmgate("drain", "--json", environment: ["WARMGATE_ADMIN_LISTEN": listen])
      #expect(json.status == .exited(0))
      #expect(try JSONValue(json.output)["drained"] == .bool(true))
      #expect(try JSONValue(json.output)["closed"].int == 2)
      #expect(json.output.split(separator: "\n").count == 1)
    }
  }

  @Test("drain --no-wait returns while the drain goes on; --timeout is its deadline", arguments: Way.allCases)
  func noWait(way: Way) async throws {
    try await withAdmin(way, ["--drain-delay", "60s", "--drain-timeout", "120s"]) { sidecar, url, _, _ in
      let begun = try await warmgate("drain", "--no-wait", "--url", url)
      #expect(begun.status == .exited(0))
      #expect(begun.output == "draining\n")
      #expect(try await sidecar.status(way, url)["state"].string == "draining")
      // Joins it, and brings its end forward.
      let joined = try await warmgate("drain", "--timeout", "1s", "--url", url)
      #expect(joined.status == .exited(0))
      #expect(joined.output == Self.counts)
    }
  }

  @Test("a drain that was taken back exits 1 and says so", arguments: Way.allCases)
  func takenBack(way: Way) async throws {
    try await withAdmin(way, ["--drain-delay", "60s", "--drain-timeout", "120s"]) { sidecar, url, _, _ in
      async let drain = warmgate("drain", "--url", url)
      try await sidecar.waitForState("draining")
      let resumed = try await warmgate("resume", "--url", url)
      #expect(resumed.status == .exited(0))
      let result = try await drain
      #expect(result.status == .exited(1))
      #expect(result.output == "")
      #expect(result.errors == "warmgate: refused (409): the drain was taken back by a resume\n")
    }
  }

  @Test("the process's own SIGTERM ends a drain that waits with its counts", arguments: Way.allCases)
  func terminated(way: Way) async throws {
    try await withAdmin(way, ["--drain-delay", "60s", "--drain-timeout", "120s"]) { sidecar, url, _, _ in
      async let drain = warmgate("drain", "--url", url)
      try await sidecar.waitForState("draining")
      #expect(await sidecar.terminate() == .exited(0))
      let result = try await drain
      #expect(result.status == .exited(0))
      #expect(result.output == Self.counts)
    }
  }

  @Test("where nothing listens, each exits 3 and says where")
  func nothingListens() async throws {
    let directory = try TemporaryDirectory()
    for url in ["http://127.0.0.1:\(freePort())", "unix:\(directory.file("none.sock"))"] {
      for command in [["drain"], ["resume"], ["probe", "ready"], ["wait", "--timeout", "300ms"]] {
        let result = try await run([ServedProcess.executable] + command + ["--url", url])
        #expect(result.status == .exited(3), "\(command) \(url)")
        let said = result.output + result.errors
        #expect(said.contains("nothing listens at"), "\(command): \(said)")
        #expect(said.contains(url.replacingOccurrences(of: "http://", with: "")))
        #expect(said.split(separator: "\n").count == 1)
      }
    }
    directory.remove()
  }

  @Test("drain without the token exits 1, with the right one 0")
  func token() async throws {
    let directory = try TemporaryDirectory()
    let right = try directory.write("right", "open-sesame\n")
    let wrong = try directory.write("wrong", "open-barley\n")
    let port = freePort()
    let flags = ["--admin-listen", "0.0.0.0:\(port)", "--admin-token-file", right, "--drain-delay", "0s"]
    try await withSidecarAndPostgres(flags) { sidecar, _ in
      try await sidecar.waitUntilReady()
      let url = "http://127.0.0.1:\(port)"
      for arguments in [[], ["--token-file", wrong]] {
        for command in ["drain", "resume"] {
          let refused = try await run([ServedProcess.executable, command, "--url", url] + arguments)
          #expect(refused.status == .exited(1))
          #expect(refused.errors.hasPrefix("warmgate: refused (401): "))
          #expect(!refused.errors.contains("sesame") && !refused.errors.contains("barley"))
        }
      }
      #expect(try await sidecar.ready().status == 200)
      let drained = try await warmgate("drain", "--url", url, "--token-file", right)
      #expect(drained.status == .exited(0))
      #expect(drained.output == Self.counts)
      let resumed = try await warmgate(
        "resume", "--url", url, environment: ["WARMGATE_ADMIN_TOKEN_FILE": right])
      #expect(resumed.status == .exited(0))
    }
    directory.remove()
  }

  @Test("probe says yes or no and why, in every state; wait says whether it came to be ready")
  func probeAndWait() async throws {
    let port = freePort()
    let url = "http://127.0.0.1:\(port)"
    try await withPostgres { pg in
      try await pg.stop()
      // Begun before there is a sidecar, and before there is a server.
      let patient = Task { try await warmgate("wait", "--url", url, "--timeout", "60s") }
      let flags = ["--listen", "127.0.0.1:\(port)", "--drain-delay", "60s", "--drain-timeout", "90s"]
      try await withSidecar(flags, url: pg.unixURL) { sidecar in
        let probe = { (what: String) in try await warmgate("probe", what, "--url", url) }
        #expect(await eventually { try await probe("ready").output.contains("connection refused") })
        let warming = try await probe("ready")
        #expect(warming.status == .exited(1))
        #expect(warming.output.hasPrefix("not ready: warming 0/2"))
        #expect(warming.output.split(separator: "\n").count == 1)
        let unstarted = try await probe("startup")
        #expect(unstarted.status == .exited(1))
        #expect(unstarted.output.hasPrefix("not started: warming 0/2"))
        let alive = try await probe("live")
        #expect(alive.status == .exited(0))
        #expect(alive.output == "alive\n")
        let impatient = try await warmgate("wait", "--url", url, "--timeout", "200ms")
        #expect(impatient.status == .exited(1))
        #expect(impatient.output == "")
        #expect(impatient.errors.hasPrefix("warmgate: not ready after 200ms"))
        #expect(impatient.errors.contains("warming 0/2"))

        try await pg.start()
        let waited = try await patient.value
        #expect(waited.status == .exited(0))
        #expect(waited.output == "" && waited.errors == "")
        for (what, line) in [("ready", "ready\n"), ("startup", "started\n"), ("live", "alive\n")] {
          let yes = try await probe(what)
          #expect(yes.status == .exited(0))
          #expect(yes.output == line)
        }
        let json = try await warmgate("probe", "ready", "--json", "--url", url)
        #expect(json.status == .exited(0))
        #expect(try JSONValue(json.output)["ready"] == .bool(true))
        let byEnvironment = try await warmgate(
          "probe", "ready", environment: ["WARMGATE_LISTEN": "127.0.0.1:\(port)"])
        #expect(byEnvironment.status == .exited(0))

        #expect(try await sidecar.post("/drain?wait=0").status == 202)
        try await sidecar.waitForState("draining")
        let draining = try await probe("ready")
        #expect(draining.status == .exited(1))
        #expect(draining.output == "not ready: draining\n")
        #expect(try await probe("startup").status == .exited(0))
        #expect(try await probe("live").status == .exited(0))
      }
    }
  }
}

extension RunningSidecar {
  fileprivate func status(_ way: DrainCommandTests.Way, _ url: String) async throws -> JSONValue {
    let probe =
      switch way {
      case .tcp: admin
      case .unix: HTTPProbe(.unix(String(url.dropFirst("unix:".count))))
      }
    return try JSONValue(try await probe.request("GET", "/status").body)
  }
}
