import EventLoop
import Foundation
import PoolCore
import Support
import Testing

@testable import Postgres

@Suite("a resolver that hangs") struct HungResolverTests {
  /// In a process of its own, and there in the name space of the loop's thread, which login threads inherit: the
  /// rest of the machine keeps its resolver.
  @Test(
    "costs one attempt and its thread: the next host is tried, four may hang, and when it comes back all is well",
    .enabled(if: geteuid() == 0, "needs root for a mount namespace"))
  func hangs() async throws {
    await #expect(processExitsWith: .success) {
      let directory = try TemporaryDirectory()
      defer { directory.remove() }
      // Bound and never read: questions go in, no answer comes out.
      let sink = try UDPSink(address: 0x7F00_004D)
      defer { sink.stop() }
      let resolver = try directory.write(
        "resolv.conf", "nameserver 127.0.0.77\noptions timeout:8 attempts:1\n", mode: 0o644)
      try await withPostgres { server in
        try await withLoop { loop in
          let mounted = await withCheckedContinuation { continuation in
            loop.post {
              continuation.resume(returning: replaceForThisThread("/etc/resolv.conf", by: resolver))
            }
          }
          try #require(mounted)
          let good = try await connector(
            "postgresql://postgres:secret@hangs.example,127.0.0.1:\(server.port)/postgres", on: loop,
            timeout: .seconds(4)
          ).login()
          try #require(good.host == HostID(1))
          await good.close()

          let hanging = try connector("host=hangs.example user=a", on: loop, timeout: .milliseconds(500))
          for number in 1...4 {
            await #expect { try await hanging.login() } throws: {
              ($0 as? Fault) == Fault(.timedOut, at: .name, host: "hangs.example:5432")
            }
            try #require(hanging.stuckAttempts == number)
          }
          await #expect { try await hanging.login() } throws: { ($0 as? Fault)?.kind == .attemptsStuck }
          try #require(hanging.stuckAttempts == 4)
          // The resolver gives up after eight seconds, and then it is as if nothing had been.
          try #require(await eventually(within: .seconds(30)) { hanging.stuckAttempts == 0 })
          await #expect { try await hanging.login() } throws: { ($0 as? Fault)?.step == .name }
        }
      }
    }
  }
}

/// A bound UDP socket on port 53 of an address of the loopback network.
private struct UDPSink {
  let socket: Int32

  init(address number: UInt32) throws {
    socket = Glibc.socket(AF_INET, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(53).bigEndian
    address.sin_addr.s_addr = number.bigEndian
    let bound = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard bound == 0 else { throw FixtureError("cannot bind port 53: \(errno)") }
  }

  func stop() { close(socket) }
}

/// `unshare(CLONE_NEWNS)` and a bind mount, by way of the dynamic linker: Swift does not import them.
private func replaceForThisThread(_ path: String, by other: String) -> Bool {
  typealias Unshare = @convention(c) (Int32) -> Int32
  typealias Mount =
    @convention(c) (
      UnsafePointer<CChar>?, UnsafePointer<CChar>?, UnsafePointer<CChar>?, UInt, UnsafeRawPointer?
    ) -> Int32
  guard let unshareSymbol = dlsym(nil, "unshare"), let mountSymbol = dlsym(nil, "mount") else { return false }
  let unshare = unsafeBitCast(unshareSymbol, to: Unshare.self)
  let mount = unsafeBitCast(mountSymbol, to: Mount.self)
  let (newNamespace, bind, recursive, isPrivate): (Int32, UInt, UInt, UInt) = (0x20000, 4096, 16384, 1 << 18)
  return unshare(newNamespace) == 0 && mount("none", "/", nil, recursive | isPrivate, nil) == 0
    && mount(other, path, nil, bind, nil) == 0
}
