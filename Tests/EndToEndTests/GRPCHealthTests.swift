import Foundation
import Support
import Testing

@Suite("the gRPC health protocol, with its real client", .timeLimit(.minutes(5)))
struct GRPCHealthTests {
  private func withGRPC(
    _ flags: [String] = [], _ body: (RunningSidecar, TestPostgres, _ port: Int) async throws -> Void
  ) async throws {
    let port = freePort()
    try await withSidecarAndPostgres(["--grpc-listen", "127.0.0.1:\(port)", "--drain-delay", "0s"] + flags) {
      sidecar, pg in
      try await sidecar.waitUntilReady()
      try await body(sidecar, pg, port)
    }
  }

  private let watch = """
    for answer in health.Watch(request("")): say(name(answer.status))
    """

  @Test("Check, List and Watch follow an instance from its warming to its end, and a drain is NOT_SERVING")
  func life() async throws {
    let port = freePort()
    try await withPostgres { pg in
      try await pg.stop()
      let flags = ["--grpc-listen", "127.0.0.1:\(port)", "--drain-delay", "2s"]
      try await withSidecar(flags, url: pg.tcpURL()) { sidecar in
        let script = """
          for service in ["", "ready", "readiness", "live", "liveness", "startup", "nobody", "x" * 2000]: say(ask(service))
          answer = health.List(pb.HealthListRequest(), timeout=20).statuses
          say(*[f"{key}={name(answer[key].status)}" for key in sorted(answer)])
          say(code(lambda: channel.unary_unary("/AWS.ALB/healthcheck")(b"", timeout=20)))
          say(code(lambda: health.Check(request("x" * 500), timeout=20, compression=grpc.Compression.Gzip)))
          """
        let refused = ["NOT_FOUND", "RESOURCE_EXHAUSTED"]
        let odd = ["UNIMPLEMENTED", "UNIMPLEMENTED"]
        let no = "NOT_SERVING"
        #expect(
          try await GRPCClient.run(script, port: port) == [no, no, no, "SERVING", "SERVING", no] + refused
            + ["=NOT_SERVING live=SERVING ready=NOT_SERVING startup=NOT_SERVING"] + odd)
        let watcher = try GRPCClient(watch, port: port)
        let stranger = try GRPCClient(
          "for answer in health.Watch(request('nobody')): say(name(answer.status))", port: port)
        func watched(_ lines: [String]) async {
          #expect(await eventually(within: .seconds(30)) { watcher.lines == lines }, "\(watcher.lines)")
        }
        await watched([no])
        try await pg.start()
        try await sidecar.waitUntilReady()
        await watched([no, "SERVING"])
        let yes = Array(repeating: "SERVING", count: 6)
        #expect(
          try await GRPCClient.run(script, port: port) == yes + refused
            + ["=SERVING live=SERVING ready=SERVING startup=SERVING"] + odd)
        #expect(try await sidecar.post("/drain").status == 200)
        await watched([no, "SERVING", no])
        #expect(
          try await GRPCClient.run(script, port: port) == [no, no, no, "SERVING", "SERVING", "SERVING"]
            + refused
            + ["=NOT_SERVING live=SERVING ready=NOT_SERVING startup=SERVING"] + odd)
        #expect(try await sidecar.post("/resume").status == 200)
        await watched([no, "SERVING", no, "SERVING"])
        #expect(stranger.lines == ["SERVICE_UNKNOWN"])
        #expect(await sidecar.terminate() == .exited(0))
      }
    }
  }

  @Test("a watcher hears of a lost database and of a stopped loop as soon as /ready says it")
  func changes() async throws {
    try await withGRPC { sidecar, pg, port in
      let watcher = try GRPCClient(watch, port: port)
      #expect(await eventually { watcher.lines == ["SERVING"] })
      await pg.kill()
      try await sidecar.waitUntil(503)
      #expect(await eventually(within: .seconds(5)) { watcher.lines.last == "NOT_SERVING" })
      try await pg.start()
      try await sidecar.waitUntilReady()
      #expect(await eventually(within: .seconds(5)) { watcher.lines.last == "SERVING" })
      // Of a debug build: the loop is stuck, and publishes nothing.
      sidecar.process.signal(SIGUSR2)
      try await sidecar.waitUntil(503) { $0.body.contains("stalled") }
      #expect(await eventually(within: .seconds(5)) { watcher.lines.last == "NOT_SERVING" })
    }
  }

  @Test(
    "hundreds of watches and thousands of calls at once are all answered, and the drain reaches each of them")
  func many() async throws {
    try await withGRPC { sidecar, _, port in
      let client = try GRPCClient(
        """
        told = [[] for _ in range(400)]
        def watch(stub, list):
            try:
                for answer in stub.Watch(request("ready")): list.append(name(answer.status))
            except grpc.RpcError: pass
        stubs = [health_pb2_grpc.HealthStub(connect(number)) for number in range(5)]
        for number, list in enumerate(told):
            threading.Thread(target=watch, args=(stubs[number // 80], list), daemon=True).start()
        calls = [stubs[number % 5].Check.future(request("ready"), timeout=60) for number in range(3000)]
        say(sum(call.result().status == pb.HealthCheckResponse.SERVING for call in calls))
        while not all(told): time.sleep(0.01)
        say("watching")
        while not all(len(list) == 2 for list in told): time.sleep(0.01)
        say(*sorted({" ".join(list) for list in told}))
        """, port: port)
      #expect(
        await eventually(within: .seconds(60)) { client.lines == ["3000", "watching"] }, "\(client.lines)")
      #expect(try await sidecar.post("/drain").status == 200)
      #expect(
        await eventually(within: .seconds(30)) { client.lines.last == "SERVING NOT_SERVING" },
        "\(client.lines)")
    }
  }

  @Test("a client that is stopped costs nothing, and learns the latest when it goes on")
  func stopped() async throws {
    try await withGRPC { sidecar, _, port in
      let watcher = try GRPCClient(watch, port: port)
      #expect(await eventually { watcher.lines == ["SERVING"] })
      watcher.signal(SIGSTOP)
      for _ in 0..<3 {
        #expect(try await sidecar.post("/drain").status == 200)
        #expect(try await sidecar.post("/resume").status == 200)
        try await sidecar.waitUntilReady()
      }
      #expect(try await sidecar.post("/drain").status == 200)
      #expect(try await GRPCClient.run("say(ask(''))", port: port) == ["NOT_SERVING"])
      watcher.signal(SIGCONT)
      #expect(await eventually(within: .seconds(30)) { watcher.lines.last == "NOT_SERVING" })
      #expect(await sidecar.terminate() == .exited(0))
    }
  }

  @Test("a thousand connections cost bounded memory, and a call is answered meanwhile")
  func crowd() async throws {
    try await withGRPC { sidecar, _, port in
      let before = try #require(sidecar.process.usage).rss
      let client = try GRPCClient(
        """
        host, _, port = address.rpartition(":")
        crowd = [socket.create_connection((host, int(port)), timeout=20) for _ in range(1000)]
        for number, one in enumerate(crowd):
            try: one.sendall(b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]) * (number % 3))
            except OSError: pass
        for _ in range(20): say(ask("ready"))
        time.sleep(600)
        """, port: port)
      #expect(
        await eventually(within: .seconds(30)) { client.lines == Array(repeating: "SERVING", count: 20) },
        "\(client.lines)")
      let usage = try #require(sidecar.process.usage)
      #expect(usage.openFiles < 250)
      #expect(usage.rss < before + 32 << 20)
      #expect(try await sidecar.ready().status == 200)
    }
  }
}
