import Support
import Testing

#if canImport(Glibc)
  import Glibc
#endif

extension Trait where Self == ConditionTrait {
  /// Skips a test, by name, where the kernel does not kill sockets on demand (CONFIG_INET_DIAG_DESTROY, root).
  static var needsSocketKilling: Self {
    .enabled("the kernel kills no sockets for us here") { try await kernelKillsSockets() }
  }
}

private func kernelKillsSockets() async throws -> Bool {
  guard geteuid() == 0 else { return false }
  let server = try CannedServer("")
  let socket = try ClientSocket(
    .tcp("127.0.0.1", server.port), deadline: .now + .seconds(5))
  let killed = try await run(["ss", "-KHtn", "state", "established", "dport = :\(server.port)"])
  // Its end is the end of the stream as well as a reset; nothing within the deadline is neither.
  return killed.succeeded && socket.receive(deadline: .now + .milliseconds(500)) != nil
}
