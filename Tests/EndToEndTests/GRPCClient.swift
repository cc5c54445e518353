import Foundation
import Support

/// The real client of the gRPC health protocol, Python's `grpcio` and `grpcio-health-checking`, in a process.
/// `scripts/test` puts them into `.build/grpc-python`.
final class GRPCClient: Sendable {
  private let directory: TemporaryDirectory
  private let process: BackgroundProgram

  private static let python =
    URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().path + "/.build/grpc-python/bin/python"

  /// Defines `health` (the stub), `ask(service)` and what else a script needs; `say` prints a line at once.
  private static let preamble = """
    import sys, time, socket, threading, grpc
    from grpc_health.v1 import health_pb2 as pb, health_pb2_grpc
    address = sys.argv[1]
    def connect(unique=0):
        return grpc.insecure_channel(address, [("unique", unique), ("grpc.use_local_subchannel_pool", 1)])
    channel = connect()
    health = health_pb2_grpc.HealthStub(channel)
    name = pb.HealthCheckResponse.ServingStatus.Name
    def say(*words): print(*words, flush=True)
    def request(service): return pb.HealthCheckRequest(service=service)
    def code(call):
        try: return name(call().status)
        except grpc.RpcError as error: return error.code().name
    def ask(service): return code(lambda: health.Check(request(service), timeout=20))

    """

  /// Runs a script to its end, and gives the lines that it has said.
  static func run(_ script: String, port: Int, within limit: Duration = .seconds(60)) async throws -> [String]
  {
    try checkInstalled()
    let output = try await runChecked([python, "-c", preamble + script, "127.0.0.1:\(port)"], within: limit)
    return output.split(separator: "\n").map(String.init)
  }

  /// Starts a script that goes on until it is ended.
  init(_ script: String, port: Int) throws {
    try Self.checkInstalled()
    directory = try TemporaryDirectory()
    process = try BackgroundProgram(
      [Self.python, "-c", Self.preamble + script, "127.0.0.1:\(port)"], log: directory.file("log"))
  }

  deinit {
    process.kill()
    directory.remove()
  }

  /// The lines that it has said so far.
  var lines: [String] { process.log.split(separator: "\n").map(String.init) }

  func signal(_ number: Int32) { process.signal(number) }

  private static func checkInstalled() throws {
    guard FileManager.default.isExecutableFile(atPath: python) else {
      throw FixtureError("no gRPC client in .build/grpc-python: run scripts/test, which puts it there")
    }
  }
}
