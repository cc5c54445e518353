import PoolCore
import Testing

@testable import Health

@Suite("The messages of the gRPC health protocol")
struct GRPCMessageTests {
  private let board = StatusBoard { State.ready.observation }

  private func call(
    _ path: String, _ body: [UInt8], method: String = "POST", type: String = "application/grpc",
    timeout: String? = nil
  ) -> GRPCCall {
    var call = GRPCCall(at: .origin, arrival: .seconds(5))
    var headers = [(":method", method), (":path", path), ("content-type", type), ("te", "trailers")]
    if let timeout { headers.append(("grpc-timeout", timeout)) }
    for (name, value) in headers {
      let fits = Array(name.utf8).withUnsafeBufferPointer { name in
        Array(value.utf8).withUnsafeBufferPointer { value in call.add(header: name, value) }
      }
      #expect(fits)
    }
    #expect(body.withUnsafeBufferPointer { call.add(body: $0) })
    return call
  }

  private func reply(_ method: String, _ body: [UInt8]) -> GRPCCall.Reply {
    call("/grpc.health.v1.Health/\(method)", body).reply(board, at: .origin)
  }

  private func asking(_ service: String) -> [UInt8] {
    service.isEmpty ? [0, 0, 0, 0, 0] : GRPCMessage.framed([0x0A, UInt8(service.utf8.count)] + service.utf8)
  }

  @Test("each service says in each state what its path says over HTTP", arguments: State.all)
  func statuses(state: State) {
    let board = StatusBoard { state.observation }
    let routes = HealthRoutes(probeInterval: .seconds(5), metrics: .unversioned) { state.observation }
    for (names, path) in [
      (["", "ready", "readiness"], "/ready"), (["live", "liveness"], "/live"), (["startup"], "/startup"),
    ] {
      let isYes = routes.respond(to: Request(.get, path)).status == .ok
      for name in names {
        #expect(
          board.status(of: HealthService(name: name), at: .origin) == (isYes ? .serving : .notServing),
          "\(name) while \(state)")
      }
    }
    #expect(board.status(of: HealthService(name: "Ready"), at: .origin) == .serviceUnknown)
  }

  @Test("the bytes are those of the protocol")
  func bytes() {
    #expect(asking("readiness") == [0, 0, 0, 0, 0x0B, 0x0A, 9] + Array("readiness".utf8))
    #expect(GRPCMessage.framed(GRPCMessage.response(.serving)) == [0, 0, 0, 0, 2, 8, 1])
    #expect(GRPCMessage.response(.notServing) == [8, 2])
    #expect(GRPCMessage.response(.serviceUnknown) == [8, 3])
    #expect(
      GRPCMessage.list([("", .serving), ("live", .notServing)])
        == [0x0A, 6, 0x0A, 0, 0x12, 2, 8, 1] + [0x0A, 10, 0x0A, 4] + Array("live".utf8) + [0x12, 2, 8, 2])
    #expect(reply("Check", asking("")) == .message([8, 1]))
    #expect(reply("Watch", asking("liveness")) == .watch(.live))
    #expect(reply("Watch", asking("nobody")) == .watch(nil))
  }

  @Test("what is no call of this service is refused as gRPC says")
  func refusals() {
    #expect(isRefused(reply("Check", asking("nobody")), .notFound))
    #expect(isRefused(reply("Stop", asking("")), .unimplemented))
    #expect(isRefused(call("/AWS.ALB/healthcheck", asking("")).reply(board, at: .origin), .unimplemented))
    // Compressed; no message; two messages; less than was announced; a length beyond all bounds.
    #expect(isRefused(reply("Check", [1, 0, 0, 0, 0]), .unimplemented))
    #expect(isRefused(reply("Check", []), .unimplemented))
    #expect(isRefused(reply("List", asking("") + asking("")), .unimplemented))
    #expect(isRefused(reply("Check", [0, 0, 0, 0, 9, 1]), .unimplemented))
    #expect(isRefused(reply("Check", [0, 0xFF, 0xFF, 0xFF, 0xFF]), .unimplemented))
    // A string that is longer than its message; a number where the name should be; a group; field 0.
    for broken: [UInt8] in [
      [0x0A, 5, 1], [8, 1], [0x0B], [2, 0], [0x0A], Array(repeating: 0xFF, count: 12),
      [0x0A] + Array(repeating: 0xFF, count: 9) + [1],
    ] {
      #expect(isRefused(reply("Check", GRPCMessage.framed(broken)), .internal), "\(broken)")
    }
    let path = "/grpc.health.v1.Health/Check"
    #expect(call(path, asking(""), method: "GET").reply(board, at: .origin) == .http("405"))
    for type in ["", "text/plain", "application/json", "application/grpc-web"] {
      #expect(call(path, asking(""), type: type).reply(board, at: .origin) == .http("415"), "\(type)")
    }
    for type in ["application/grpc+proto", "Application/gRPC", "application/grpc;charset=utf-8"] {
      #expect(call(path, asking(""), type: type).reply(board, at: .origin) == .message([8, 1]), "\(type)")
    }
  }

  private func isRefused(_ reply: GRPCCall.Reply, _ status: GRPCStatus) -> Bool {
    if case .refusal(status, _) = reply { true } else { false }
  }

  @Test("fields that it does not know are stepped over, and the last name counts")
  func unknownFields() {
    let message: [UInt8] =
      [0x10, 0x96, 0x01] + [0x1A, 2, 7, 7] + [0x25, 1, 2, 3, 4] + [0x29, 1, 2, 3, 4, 5, 6, 7, 8]
      + [0x0A, 1, 0x78] + [0x0A, 4] + Array("live".utf8)
    #expect(reply("Check", GRPCMessage.framed(message)) == .message([8, 1]))
  }

  @Test("no bytes are fatal", arguments: 0..<20)
  func noise(seed: UInt64) {
    var random = Seeded(state: seed)
    for _ in 0..<2000 {
      let noise = (0..<Int.random(in: 0...40, using: &random)).map { _ in
        UInt8.random(in: 0...255, using: &random)
      }
      _ = reply("Check", noise)
      _ = reply("Check", GRPCMessage.framed(noise))
    }
  }

  @Test("grpc-timeout is at most eight digits and a unit")
  func timeouts() {
    #expect(Duration(grpcTimeout: "1H") == .seconds(3600))
    #expect(Duration(grpcTimeout: "2M") == .seconds(120))
    #expect(Duration(grpcTimeout: "99999999S") == .seconds(99_999_999))
    #expect(Duration(grpcTimeout: "250m") == .milliseconds(250))
    #expect(Duration(grpcTimeout: "7u") == .microseconds(7))
    #expect(Duration(grpcTimeout: "9n") == .nanoseconds(9))
    for text in ["", "S", "1", "1s", "-1S", "+1S", "1.5S", "999999999S", "1 S", "１S"] {
      #expect(Duration(grpcTimeout: text) == nil, "\(text)")
    }
    let short = call("/x", [], timeout: "250m")
    #expect(short.deadline == .origin + .milliseconds(250))
    #expect(call("/x", [], timeout: "1H").deadline == .origin + .seconds(5))
  }
}
