import PoolCore
import Testing

@testable import Health

@Suite("The health listener answers as the contract says")
struct ContractTests {
  @Test("an instance that has just begun is alive, not ready and not started")
  func begins() throws {
    let server = try HealthServer(listen: [ListenAddress(parsing: "[::]:0")], probeInterval: .seconds(5)) {
      Observation(snapshot: Snapshot(taken: .origin, pool: PoolCounts(min: 2, max: 10)), now: .origin)
    }
    defer { server.stop() }
    let client = try RawClient(server.address)
    #expect(try client.ask("GET", "/ready").body == "not ready: starting\n")
    #expect(try client.ask("GET", "/live").body == "alive\n")
    #expect(try client.ask("GET", "/startup").body == "not started: starting\n")
  }
}
