import EventLoop
import PoolCore
import Support
import Testing

@testable import Postgres

@Suite struct LoginTests {
  @Test("a login over a Unix socket answers a query, and knows where it is")
  func overUnixSocket() async throws {
    try await withPostgres { server in
      try await withLoop { loop in
        let connection = try await connector(server.unixURL, on: loop).login()
        let result = try await connection.query(
          "select pg_backend_pid(), current_setting('application_name')")
        #expect(result[0, 0] == String(connection.backendPID))
        #expect(result[0, 1] == "warmgate/test")
        #expect(connection.hostLabel == "\(server.socketDirectory)/.s.PGSQL.\(server.port)")
        #expect(connection.serverVersion >= 150_000)
        #expect(connection.loginTook > .zero)
        await connection.close()
      }
    }
  }

  @Test("a login over TCP with SCRAM works, with a name and with an address")
  func overTCP() async throws {
    try await withPostgres { server in
      try await withLoop { loop in
        for host in ["127.0.0.1", "localhost"] {
          let url = "postgresql://postgres:secret@\(host):\(server.port)/postgres"
          let connection = try await connector(url, on: loop).login()
          #expect(connection.hostLabel == "\(host):\(server.port)")
          #expect(try await connection.query("select 1")[0, 0] == "1")
          await connection.close()
        }
      }
    }
  }
}
