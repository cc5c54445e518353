import Testing

@testable import PoolCore

@Suite struct Hosts {
  @Test("the scout takes any host, the others follow to the one where the probe is")
  func following() {
    var server = VirtualServer()
    server.host = HostID(2)
    var settings = PoolSettings()
    settings.minConnections = 4
    let pool = VirtualPool(settings, server: server)
    pool.advance(by: .seconds(1))
    #expect(pool.logins == [.anywhere, .only(HostID(2)), .only(HostID(2)), .only(HostID(2))])
  }

  @Test("a login that ends up at another host than the probe is closed")
  func elsewhere() throws {
    let pool = VirtualPool { $0.minConnections = 3 }
    pool.advance(within: .seconds(1)) { $0.connecting.count == 2 }
    let stray = try #require(pool.connecting.min())
    pool.clearLog()
    pool.send(.loggedIn(stray, host: HostID(7), took: .milliseconds(1)))
    #expect(pool.closes.map(\.reason) == [.otherHost])
    pool.advance(by: .seconds(1))
    #expect(pool.open == 3)
    #expect(Set(pool.sessions.values) == [HostID(0)])
  }

  @Test("when the probe finds its place at another host, leases at the former one end with their return")
  func moved() throws {
    let pool = VirtualPool { $0.minConnections = 3 }
    pool.advance(by: .seconds(1))
    let leases = [pool.acquire(), pool.acquire()]
    pool.server.host = HostID(1)
    pool.end(try #require(pool.reserved), .closed)
    pool.advance(by: .seconds(1))
    #expect(pool.phase == .ready)
    #expect(pool.sessions[try #require(pool.reserved)] == HostID(1))
    for lease in leases { pool.release(lease) }
    #expect(Set(pool.sessions.values) == [HostID(1)])
    pool.advance(by: .seconds(1))
    #expect(pool.open == 3)
    #expect(pool.isReady && !pool.isDegraded)
  }
}
