import EventLoop
import Foundation
import PoolCore
import Support
import Testing

@testable import Postgres

@Suite("logins that succeed") struct LoginTests {
  @Test("over a Unix socket: it answers a query, and knows where it is")
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
        #expect(await connection.parameterStatus("client_encoding") == "UTF8")
        #expect(await !connection.isInHotStandby)
        await connection.close()
      }
    }
  }

  @Test("over TCP with SCRAM, with a name and with an address")
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
        // A name that does not exist, with its address: nothing is looked up.
        let url =
          "host=db.invalid hostaddr=127.0.0.1 port=\(server.port) user=postgres password=secret dbname=postgres"
        let connection = try await connector(url, on: loop).login()
        #expect(connection.hostLabel == "db.invalid:\(server.port)")
        await connection.close()
      }
    }
  }

  @Test("many at once, also on more threads than the machine has cores")
  func manyAtOnce() async throws {
    try await withPostgres { server in
      try await withLoop { loop in
        let connector = try connector(server.tcpURL(), on: loop)
        let connections = try await withThrowingTaskGroup(of: Connection.self) { group in
          for _ in 0..<20 { group.addTask { try await connector.login() } }
          return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(Set(connections.map(\.backendPID)).count == 20)
        #expect(try await server.sessions(like: "warmgate/test") == 20)
        for connection in connections { await connection.close() }
        #expect(await eventually { try await server.sessions(like: "warmgate/test") == 0 })
      }
    }
  }

  @Test("the next host is tried when the first does not answer, in whatever way")
  func nextHost() async throws {
    try await withPostgres { server in
      try await withLoop { loop in
        for manner in [Listener.Manner.silent, .blackHole, .hangsUp, .speaksHTTP] {
          let listener = try Listener(manner)
          defer { listener.stop() }
          let url =
            "postgresql://postgres:secret@127.0.0.1:\(listener.port),127.0.0.1:\(server.port)/postgres"
          let connection = try await connector(url, on: loop, timeout: .seconds(3)).login()
          #expect(connection.host == HostID(1), "\(manner)")
          await connection.close()
        }
        let dead = freePort()
        let url =
          "postgresql://postgres:secret@127.0.0.1:\(dead),no-such-host.invalid,127.0.0.1:\(server.port)/postgres"
        let connection = try await connector(url, on: loop).login()
        #expect(connection.host == HostID(2))
        await connection.close()
      }
    }
  }

  @Test("a login at one host of the list goes nowhere else")
  func onlyOneHost() async throws {
    try await withPostgres { server in
      try await withLoop { loop in
        let url = "postgresql://postgres:secret@127.0.0.1:\(server.port),127.0.0.1:\(freePort())/postgres"
        let connector = try connector(url, on: loop)
        let connection = try await connector.login(at: .only(HostID(0)))
        await connection.close()
        await #expect { try await connector.login(at: .only(HostID(1))) } throws: {
          ($0 as? Fault)?.kind == .refused
        }
        await #expect { try await connector.login(at: .only(HostID(7))) } throws: {
          ($0 as? Fault)?.kind == .misconfigured
        }
      }
    }
  }

  @Test("the password file is read again for every login, and wins over the URL")
  func passwordFile() async throws {
    try await withPostgres { server in
      try await withLoop { loop in
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let file = try directory.write("password", "wrong\n")
        let connector = try connector(server.tcpURL(), on: loop, passwordFile: file)
        await #expect { try await connector.login() } throws: { ($0 as? Fault)?.sqlState == .invalidPassword }
        try directory.write("password", "secret\n")
        await (try connector.login()).close()
        try FileManager.default.removeItem(atPath: file)
        await #expect { try await connector.login() } throws: { error in
          let fault = error as? Fault
          return fault?.kind == .misconfigured && fault?.step == .settings
            && fault?.message.hasSuffix("password cannot be opened: No such file or directory") == true
        }
      }
    }
  }

  @Test("a cancelled login throws at once and leaves no session")
  func cancellation() async throws {
    try await withPostgres { server in
      try await withLoop { loop in
        let listener = try Listener(.silent)
        defer { listener.stop() }
        let url = "postgresql://postgres@127.0.0.1:\(listener.port)/postgres"
        let connector = try connector(url, on: loop, timeout: .seconds(600))
        let login = Task { try await connector.login() }
        try await Task.sleep(for: .milliseconds(20))
        login.cancel()
        await #expect { try await login.value } throws: { ($0 as? Fault)?.message == "login cancelled" }
        // The thread is woken, it does not wait for its deadline.
        #expect(await eventually { connector.stuckAttempts == 0 })

        // Wherever in the login the cancellation comes: an error, or a connection that can be closed.
        let real = try Connector(
          loop: loop, database: Database(url: server.tcpURL(), applicationName: "warmgate/cancelled"))
        for delay in 0..<30 {
          let login = Task { try await real.login() }
          try await Task.sleep(for: .microseconds(delay * 250))
          login.cancel()
          if let connection = try? await login.value { await connection.close() }
        }
        #expect(await eventually { try await server.sessions(like: "warmgate/cancelled") == 0 })
        #expect(await eventually { real.stuckAttempts == 0 })
      }
    }
  }
}
