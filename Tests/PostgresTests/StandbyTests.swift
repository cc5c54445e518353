import PoolCore
import Support
import Testing

@testable import Postgres

@Suite("roles") struct StandbyTests {
  @Test("a login goes to the server of the role it needs, and says so if there is none")
  func roles() async throws {
    try await withPostgres { primary in
      try await withStandby(of: primary) { standby in
        try await withLoop { loop in
          let both =
            "host=\(standby.socketDirectory),\(primary.socketDirectory) port=\(standby.port),\(primary.port) "
            + "user=postgres dbname=postgres"
          func host(_ url: String, _ role: RequiredRole = .any) async throws -> Int? {
            let connection = try await connector(url, on: loop, role: role).login()
            await connection.close()
            return connection.host.index
          }
          #expect(try await host(both) == 0)
          #expect(try await host(both, .primary) == 1)
          #expect(try await host(both, .standby) == 0)
          #expect(try await host(both + " target_session_attrs=read-write") == 1)
          #expect(try await host(both + " target_session_attrs=prefer-standby") == 0)
          #expect(try await host(primary.unixURL + "?target_session_attrs=prefer-standby") == 0)

          let fault = try #require(try await loginFault(standby.unixURL, on: loop, role: .primary))
          #expect(fault.kind == .wrongRole && fault.step == .role)
          #expect(fault.message == "server is in hot standby mode")
          let other = try #require(try await loginFault(primary.unixURL, on: loop, role: .standby))
          #expect(other.kind == .wrongRole && other.message == "server is not in hot standby mode")
        }
      }
    }
  }

  @Test("a standby that takes no queries is 57P03, and the next host is tried")
  func coldStandby() async throws {
    try await withPostgres { primary in
      try await withStandby(of: primary, ["hot_standby": "off"]) { standby in
        try await withLoop { loop in
          let fault = try #require(try await loginFault(standby.unixURL, on: loop))
          #expect(fault.sqlState == .cannotConnectNow)
          #expect(fault.message.hasPrefix("the database system is not accepting connections"))
          let both =
            "host=\(standby.socketDirectory),\(primary.socketDirectory) port=\(standby.port),\(primary.port) "
            + "user=postgres dbname=postgres"
          let connection = try await connector(both, on: loop).login()
          #expect(connection.host == HostID(1))
          await connection.close()
        }
      }
    }
  }
}
