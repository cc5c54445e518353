import Foundation
import PoolCore
import Support
import Testing

@testable import Postgres

@Suite("TLS") struct TLSTests {
  @Test("a server without TLS where TLS is required")
  func refused() async throws {
    try await withPostgres { server in
      try await withLoop { loop in
        let fault = try #require(try await loginFault(server.tcpURL() + "?sslmode=require", on: loop))
        #expect(fault.kind == .tlsFailed && fault.step == .tls)
        #expect(fault.message == "server does not support SSL, but SSL was required")
      }
    }
  }

  @Test(
    "certificates: trusted, for another name, of an unknown authority, expired; and a file that is missing")
  func certificates() async throws {
    let certificates = try await Certificates()
    let strangers = try await Certificates()
    defer {
      certificates.directory.remove()
      strangers.directory.remove()
    }
    try await withPostgres { server in
      try await withLoop { loop in
        func url(_ name: String, _ authority: String) -> String {
          "host=\(name) hostaddr=127.0.0.1 port=\(server.port) user=postgres password=secret dbname=postgres "
            + "sslmode=verify-full sslrootcert=\(authority)"
        }
        try await server.restart(settings: try await certificates.server("db.example", for: server))
        let connection = try await connector(url("db.example", certificates.authority), on: loop).login()
        #expect(
          try await connection.query("select ssl from pg_stat_ssl where pid = pg_backend_pid()")[0, 0] == "t")
        // More than one TLS record, of which libpq reads a part at a time.
        let large = try await connection.query(
          "select repeat('x', 3000000), $1::text", [Parameter(String(repeating: "y", count: 3_000_000))])
        #expect(large[0, 0]?.utf8.count == 3_000_000 && large[0, 1]?.utf8.count == 3_000_000)
        for size in stride(from: 8_000, through: 40_000, by: 97) {
          #expect(
            try await connection.query("select repeat('x', $1::int)", [Parameter(size)])[0, 0]?.utf8.count
              == size)
        }
        // The end of the session is noticed through TLS as well.
        let ends = Ends()
        await connection.onEnd { ends.note($0) }
        try await server.terminateBackends(applicationNameLike: "warmgate/test")
        #expect(await eventually { ends.faults.map(\.sqlState) == [.adminShutdown] })
        await connection.close()

        let name = try #require(try await loginFault(url("other.example", certificates.authority), on: loop))
        #expect(name.kind == .certificate && name.step == .tls)
        #expect(name.message.contains("does not match host name"))
        let stranger = try #require(try await loginFault(url("db.example", strangers.authority), on: loop))
        #expect(stranger.kind == .certificate && stranger.step == .tls)
        #expect(stranger.message.contains("certificate verify failed"))
        let missing = try #require(try await loginFault(url("db.example", "/no/such/ca.crt"), on: loop))
        #expect(missing.kind == .misconfigured && missing.step == .tls)

        try await server.restart(settings: try await certificates.server("db.example", days: -1, for: server))
        let expired = try #require(try await loginFault(url("db.example", certificates.authority), on: loop))
        #expect(expired.kind == .certificate && expired.step == .tls)

        // Not asked for, not checked; and a wrong password through TLS is the server's word, not TLS's.
        let wrong = try #require(try await loginFault(server.tcpURL(password: "wrong"), on: loop))
        #expect(wrong.sqlState == .invalidPassword)
      }
    }
  }
}
