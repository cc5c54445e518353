import Foundation
import Support
import Testing

@Suite("HAProxy's agent check, with HAProxy", .timeLimit(.minutes(5)))
struct AgentCheckTests {
  /// A sidecar on known ports, and an HAProxy that asks its agent ten times a second: in the backend `app` with an
  /// ordinary check beside, in `light` with HAProxy's own weight, 1, and in `static` with an algorithm that knows no
  /// weights in between.
  private struct Fixture {
    let proxy: HAProxy
    let ports = (health: freePort(), admin: freePort(), agent: freePort())

    init() async throws {
      let server =
        "127.0.0.1:\(ports.health) weight 100 agent-check agent-port \(ports.agent) agent-inter 100ms"
      proxy = try await HAProxy.started(
        """
        backend app
          server instance \(server) check inter 100ms
        backend light
          server instance 127.0.0.1:\(ports.health) agent-check agent-port \(ports.agent) agent-inter 100ms
        backend static
          balance static-rr
          server instance \(server)
        """)
    }

    func sidecar(
      _ url: String, passwordFile: String, _ flags: [String] = []
    ) async throws -> RunningSidecar {
      try await RunningSidecar.started(
        [
          "--agent-listen", "127.0.0.1:\(ports.agent)", "--drain-delay", "3s", "--password-file",
          passwordFile,
        ] + flags, url: url,
        ports: (ports.health, ports.admin))
    }

    /// Returns when HAProxy sees the instance so.
    func expect(
      _ status: String, weight: Int = 100, agent: String? = nil, of backend: String = "app"
    ) async throws {
      var last: HAProxy.Server?
      let isSo = await eventually(within: .seconds(15)) {
        let server = try proxy.server("instance", of: backend)
        last = server
        return server.status == status && server.weight == weight
          && (agent.map(server.agent.contains) ?? true)
      }
      if isSo { return }
      throw FixtureError(
        "\(backend) is not \(status) \(weight) \(agent ?? ""), but \(last.map { "\($0)" } ?? "unknown"):\n\(proxy.log)"
      )
    }
  }

  /// One session less, and no new one for want of the new password.
  private func degrade(_ pg: TestPostgres, newPassword: String, _ sidecar: RunningSidecar) async throws {
    try await pg.sql("alter role app password '\(newPassword)'")
    try await pg.sql(
      "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app' order by pid desc limit 1"
    )
    #expect(await eventually { try await sidecar.ready().body.contains("degraded: login failing") })
  }

  @Test(
    "HAProxy follows an instance through its life, and a new process undoes what the one before it asked for")
  func life() async throws {
    try await withPostgres { pg in
      try await pg.sql("create role app login password 'one'")
      let directory = try TemporaryDirectory()
      defer { directory.remove() }
      let file = try directory.write("password", "one")
      let url = pg.tcpURL(user: "app", password: nil)
      try await pg.stop()
      let fixture = try await Fixture()
      defer { fixture.proxy.close() }
      let first = try await fixture.sidecar(url, passwordFile: file)
      try await fixture.expect("DOWN (agent)", agent: "warming 0/2, tcp: connection refused")
      try await fixture.expect("DOWN (agent)", of: "static")

      try await pg.start()
      try await fixture.expect("UP")
      try await fixture.expect("no check", of: "static")

      // Degraded is ready: all instances may be so for the same cause, and somebody has to serve.
      try await degrade(pg, newPassword: "two", first)
      try await fixture.expect("UP", agent: "up")
      try await fixture.expect("no check", weight: 1, of: "light")
      try directory.write("password", "two")
      #expect(await eventually { try await first.ready().firstLine == "ready" })

      #expect(try await first.post("/drain?wait=0").status == 202)
      try await fixture.expect("DRAIN (agent)")
      try await fixture.expect("DRAIN (agent)", of: "static")
      try await fixture.expect("DOWN (agent)", agent: "stopped (drained)")
      #expect(try await first.post("/resume").status == 200)
      try await fixture.expect("UP")
      try await fixture.expect("no check", of: "static")

      // Killed in the middle of a drain: an agent that does not answer changes nothing, the ordinary check does.
      #expect(try await first.post("/drain?wait=0").status == 202)
      try await fixture.expect("DRAIN (agent)")
      try await fixture.expect("DRAIN (agent)", of: "static")
      await first.close()
      try await fixture.expect("DOWN")
      try await fixture.expect("DRAIN (agent)", agent: "L4CON", of: "static")
      try await pg.stop()
      let second = try await fixture.sidecar(url, passwordFile: file, ["--agent-degraded-weight", "50"])
      try await fixture.expect("DOWN (agent)", agent: "warming 0/2")
      try await pg.start()
      try await fixture.expect("UP")
      try await fixture.expect("no check", of: "static")

      try await degrade(pg, newPassword: "three", second)
      try await fixture.expect("UP", weight: 50, agent: "up")
      // Why it has to be asked for: half of HAProxy's own weight is nothing.
      try await fixture.expect("no check", weight: 0, of: "light")
      // All or nothing is all that such an algorithm knows: it stays with all.
      try await fixture.expect("no check", weight: 100, of: "static")
      #expect(await second.terminate() == .exited(0))
    }
  }

  @Test("--agent-listen answers in the line's own form, and without it there is neither listener nor thread")
  func listens() async throws {
    try await withPostgres { pg in
      let port = freePort()
      try await withSidecar(["--agent-listen", "127.0.0.1:\(port)"], url: pg.unixURL) { sidecar in
        try await sidecar.waitUntilReady()
        #expect(sidecar.listening.text.contains(#""agent":"127.0.0.1:\#(port)""#))
        let deadline = ContinuousClock.now + .seconds(10)
        let socket = try ClientSocket(.tcp("127.0.0.1", port), deadline: deadline)
        #expect(socket.receive(deadline: deadline) == Array("up ready 100%\n".utf8))
        #expect(socket.receive(deadline: deadline) == [])
      }
      try await withSidecar(url: pg.unixURL) { #expect(!$0.listening.text.contains("agent")) }
    }
  }
}
