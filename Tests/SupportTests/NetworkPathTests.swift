import Foundation
import Support
import Testing

@Suite("two machines with a router between them", .needsNetworkNamespaces)
struct NetworkPathTests {
  @Test("PostgreSQL is reached over the path, not while packets are dropped on the way, and again after")
  func partition() async throws {
    let path = try await NetworkPath()
    defer { path.remove() }
    try await withPostgres(namespace: path.server, address: NetworkPath.serverAddress) { pg in
      func ask() async throws -> String {
        try await run(
          ["ip", "netns", "exec", path.client, "psql", "-X", "-A", "-t", "-c", "select 7", pg.tcpURL()],
          environment: cleanEnvironment(adding: ["PGCONNECT_TIMEOUT": "2"])
        ).output
      }
      #expect(try await ask() == "7\n")
      try await path.drop()
      #expect(try await ask() == "")
      #expect(try await pg.sql("select 8") == "8")
      try await path.heal()
      #expect(try await ask() == "7\n")
    }
  }

  @Test("a probe can ask from inside, and a black hole stays silent")
  func probeFromInside() async throws {
    let path = try await NetworkPath()
    defer { path.remove() }
    let inside = HTTPProbe(.tcp(NetworkPath.serverAddress, 1), namespace: path.client)
    await #expect(throws: ProbeError.refused) { try await inside.request("GET", "/") }
    let hole = HTTPProbe(.tcp(NetworkPath.blackHole, 1), namespace: path.client)
    await #expect(throws: ProbeError.timedOut(received: "")) {
      try await hole.request("GET", "/", within: .seconds(4))
    }
  }

  @Test("names can be given to the client alone")
  func hosts() async throws {
    let path = try await NetworkPath()
    defer { path.remove() }
    try path.setClientHosts("10.77.1.2 db.test\n")
    let found = try await run(["ip", "netns", "exec", path.client, "getent", "hosts", "db.test"])
    #expect(found.output.contains("10.77.1.2"))
  }
}
