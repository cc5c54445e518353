import EventLoop
import Foundation
import PoolCore
import Support
import Testing

@testable import Postgres

@Suite("logins that fail") struct LoginFailureTests {
  @Test("what the server says has its SQLSTATE, its words and the host")
  func serverSays() async throws {
    try await withPostgres { server in
      try await server.sql(
        """
        create role ann login password 'right'; create role closed nologin password 'right';
        create role full login connection limit 0 password 'right';
        create database shut allow_connections false;
        create database narrow connection limit 0;
        """)
      let cases: [(user: String, password: String, database: String, code: String, words: String)] = [
        ("ann", "wrong", "postgres", "28P01", "password authentication failed for user \"ann\""),
        ("nobody", "right", "postgres", "28P01", "password authentication failed for user \"nobody\""),
        ("ann", "right", "missing", "3D000", "database \"missing\" does not exist"),
        ("closed", "right", "postgres", "28000", "role \"closed\" is not permitted to log in"),
        ("full", "right", "postgres", "53300", "too many connections for role \"full\""),
        ("ann", "right", "narrow", "53300", "too many connections for database \"narrow\""),
        ("ann", "right", "shut", "55000", "database \"shut\" is not currently accepting connections"),
      ]
      try await withLoop { loop in
        for (user, password, database, code, words) in cases {
          let url = server.tcpURL(user: user, password: password, database: database)
          let fault = try #require(try await loginFault(url, on: loop))
          #expect(fault.sqlState?.code == code)
          #expect(fault.message == words)
          #expect(fault.host == "127.0.0.1:\(server.port)")
        }
        let options = server.tcpURL() + "?options=-c%20nonsense%3D1"
        #expect(try await loginFault(options, on: loop)?.sqlState?.code == "42704")
      }
    }
  }

  @Test("a full server is 53300, and one that is reserved for superusers too")
  func fullServer() async throws {
    try await withPostgres(["max_connections": "4", "superuser_reserved_connections": "1"]) { server in
      try await server.sql("create role ann login password 'right'")
      try await withLoop { loop in
        let connector = try connector(server.tcpURL(user: "ann", password: "right"), on: loop)
        var held: [Connection] = []
        for _ in 0..<3 { held.append(try await connector.login()) }
        await #expect { try await connector.login() } throws: { error in
          let fault = error as? Fault
          return fault?.sqlState == .tooManyConnections
            && fault?.message.contains("remaining connection slots") == true
        }
        for connection in held { await connection.close() }
      }
    }
  }

  @Test("without a password where one is needed, it says so")
  func noPassword() async throws {
    try await withPostgres { server in
      try await withLoop { loop in
        let fault = try #require(
          try await loginFault(server.tcpURL(password: nil) + "?passfile=/no/such/file", on: loop))
        #expect(fault.kind == .passwordMissing)
        #expect(fault.step == .authentication)
      }
    }
  }

  @Test("nobody listens: refused, on a port and on a socket")
  func refused() async throws {
    try await withLoop { loop in
      let port = freePort()
      let tcp = try #require(try await loginFault("host=127.0.0.1 port=\(port) user=a", on: loop))
      #expect(tcp.kind == .refused && tcp.step == .tcp)
      #expect(tcp.host == "127.0.0.1:\(port)")
      #expect(tcp.message == "Connection refused")
      let socket = try #require(try await loginFault("host=/no/such/directory user=a", on: loop))
      #expect(socket.kind == .refused && socket.step == .tcp)
      #expect(socket.host == "/no/such/directory/.s.PGSQL.5432")
      #expect(socket.message == "No such file or directory")
      let long = "host=/\(String(repeating: "x", count: 200)) user=a"
      #expect(try await loginFault(long, on: loop)?.kind == .misconfigured)
    }
  }

  @Test("a name that does not exist, and an address without a route")
  func names() async throws {
    try await withLoop { loop in
      let name = try #require(try await loginFault("host=no-such-host.invalid user=a", on: loop))
      // Where no resolver answers, "not now" is the honest answer.
      #expect([.nameNotFound, .nameLookupFailed].contains(name.kind))
      #expect(name.step == .name)
      #expect(name.host == "no-such-host.invalid:5432")
      // Reserved for tests and never routed: RFC 5737, and class E.
      let nowhere = try #require(
        try await loginFault("host=255.255.255.255 user=a", on: loop, timeout: .milliseconds(500)))
      #expect(nowhere.kind != .refused)
      #expect(nowhere.step == .tcp)
    }
  }

  @Test("a server that hangs is given up at the deadline, with the step it hung at")
  func hanging() async throws {
    try await withLoop { loop in
      let silent = try Listener(.silent)
      let hole = try Listener(.blackHole)
      defer {
        silent.stop()
        hole.stop()
      }
      let cases: [(Int, String, Fault.Step)] = [
        (hole.port, "", .tcp), (silent.port, "sslmode=require", .tls),
        (silent.port, "sslmode=disable", .authentication),
      ]
      for (port, more, step) in cases {
        let url = "host=127.0.0.1 port=\(port) user=a gssencmode=disable \(more)"
        let began = EventLoop.now()
        let fault = try #require(try await loginFault(url, on: loop, timeout: .milliseconds(300)))
        #expect(fault == Fault(.timedOut, at: step, host: "127.0.0.1:\(port)"))
        #expect(EventLoop.now() - began >= .milliseconds(300))
        #expect(EventLoop.now() - began < .seconds(10))
      }
    }
  }

  @Test("a stopped server is given up at the deadline, and works again when it goes on")
  func stopped() async throws {
    try await withPostgres { server in
      try await withLoop { loop in
        let connector = try connector(server.unixURL, on: loop, timeout: .milliseconds(300))
        await server.suspend()
        await #expect { try await connector.login() } throws: { ($0 as? Fault)?.kind == .timedOut }
        await server.resume()
        let isBack = await eventually {
          await (try connector.login()).close()
          return true
        }
        #expect(isBack)
      }
    }
  }

  @Test("something that hangs up is closed, something that is not PostgreSQL is an error")
  func notPostgres() async throws {
    try await withLoop { loop in
      let (hangsUp, http) = (try Listener(.hangsUp), try Listener(.speaksHTTP))
      defer {
        hangsUp.stop()
        http.stop()
      }
      let closed = try #require(try await loginFault("host=127.0.0.1 port=\(hangsUp.port) user=a", on: loop))
      #expect(closed.kind == .closed)
      for mode in ["disable", "require"] {
        let url = "host=127.0.0.1 port=\(http.port) user=a sslmode=\(mode)"
        let fault = try #require(try await loginFault(url, on: loop))
        #expect([.other, .closed, .tlsFailed].contains(fault.kind), "\(fault.detail)")
        #expect(fault.step >= .tls, "\(fault.detail)")
      }
    }
  }

  @Test("when every host fails, the one that says most is the fault, and all are told")
  func allFail() async throws {
    try await withPostgres { server in
      try await withLoop { loop in
        let dead = freePort()
        let url =
          "postgresql://postgres:wrong@127.0.0.1:\(dead),127.0.0.1:\(server.port),no-such-host.invalid/postgres"
        let fault = try #require(try await loginFault(url, on: loop))
        #expect(fault.sqlState == .invalidPassword)
        #expect(fault.host == "127.0.0.1:\(server.port)")
        #expect(
          fault.message.hasPrefix("127.0.0.1:\(dead): Connection refused; 127.0.0.1:\(server.port): password")
        )
        #expect(fault.message.contains("; no-such-host.invalid:5432: "))
      }
    }
  }

  @Test("a text from outside is one line of at most 500 bytes")
  func bounded() async throws {
    try await withPostgres { server in
      try await withLoop { loop in
        let name = String(repeating: "é\n", count: 400)
        let database = try Database(
          url: server.unixURL(), applicationName: "warmgate/test")
        let connection = try await Connector(loop: loop, database: database).login()
        await #expect {
          try await connection.query("do $$ begin raise exception '%', $x$\(name)$x$; end $$")
        } throws: {
          guard let fault = ($0 as? QueryError)?.fault else { return false }
          return fault.sqlState?.code == "P0001" && fault.message.utf8.count <= 500
            && !fault.message.contains("\n") && fault.message.hasPrefix("é é")
        }
        await connection.close()
      }
    }
  }

  @Test("two hundred failed logins leave no descriptor and no thread behind")
  func leaks() async {
    await #expect(processExitsWith: .success) {
      func descriptors() -> Int { (0..<1024).count { fcntl(Int32($0), F_GETFD) >= 0 } }
      func threads() -> Int {
        (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").count) ?? 0
      }
      let (hangsUp, silent) = (try Listener(.hangsUp), try Listener(.silent))
      try await withLoop { loop in
        func fail(_ port: Int, _ timeout: Duration = .seconds(5)) async throws {
          let fault = try await loginFault("host=127.0.0.1 port=\(port) user=a", on: loop, timeout: timeout)
          try #require(fault != nil)
        }
        let dead = freePort()
        // The first of each kind, which may open things that stay.
        for port in [hangsUp.port, dead] { try await fail(port) }
        try await fail(silent.port, .milliseconds(10))
        try await Task.sleep(for: .milliseconds(100))
        let (before, running) = (descriptors(), threads())
        for _ in 0..<80 { for port in [hangsUp.port, dead] { try await fail(port) } }
        for _ in 0..<40 { try await fail(silent.port, .milliseconds(5)) }
        try #require(await eventually { descriptors() <= before })
        // The concurrency runtime may start threads of its own.
        try #require(await eventually { threads() <= running + 4 })
      }
    }
  }
}

extension Fault.Step: Comparable {
  public static func < (a: Self, b: Self) -> Bool {
    (allCases.firstIndex(of: a) ?? 0) < (allCases.firstIndex(of: b) ?? 0)
  }
}
