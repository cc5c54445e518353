import Foundation
import Support
import Testing

/// Sessions that work outrank logins that fail. Each test makes new logins impossible in its own way, after ready and
/// with connections that grow old in five seconds, keeps it so for a while, and mends it.
@Suite("working sessions outrank failing logins")
struct DatabaseLoginsFailTests {
  /// How long logins fail: several lifetimes of a connection.
  static let outage: Duration =
    ProcessInfo.processInfo.environment["WARMGATE_TEST_LONG"] == "1" ? .seconds(60) : .seconds(12)
  static let flags = ["--min-connections", "3", "--max-lifetime", "5s"]

  @Test("the password is changed at the server, and later in the file")
  func password() async throws {
    try await withPostgres { pg in
      let directory = try TemporaryDirectory()
      try await pg.sql("create role app login password 'first-word'")
      let file = try directory.write("password", "first-word\n")
      let flags = Self.flags + ["--password-file", file]
      try await withSidecar(flags, url: pg.tcpURL(user: "app", password: nil)) { sidecar in
        try await Self.expectReadiness(of: sidecar, pg, reason: "login failing: 28P01 ") {
          try await pg.sql("alter role app password 'second-word'")
        } mend: {
          try directory.write("password", "second-word\n")
        }
        #expect(!sidecar.process.logText.contains("-word"))
      }
      directory.remove()
    }
  }

  @Test("the resolver fails, then hangs", .needsNetworkNamespaces)
  func resolver() async throws {
    let path = try await NetworkPath()
    defer { path.remove() }
    try path.setClientHosts("\(NetworkPath.serverAddress) db.test\n")
    // Nobody answers there, and nobody needs to while the name is in the file.
    try path.setClientResolver("127.0.0.1")
    try await withPostgres(namespace: path.server, address: NetworkPath.serverAddress) { pg in
      let url = pg.tcpURL().replacing(NetworkPath.serverAddress, with: "db.test")
      try await withSidecar(Self.flags, url: url, namespace: path.client) { sidecar in
        try await Self.expectReadiness(of: sidecar, pg, reason: "login failing: name: ") {
          try path.setClientHosts("")
        } halfway: {
          try path.setClientResolver(NetworkPath.blackHole)
        } mend: {
          try path.setClientResolver("127.0.0.1")
          try path.setClientHosts("\(NetworkPath.serverAddress) db.test\n")
        }
      }
    }
  }

  @Test("the server's certificate ends")
  func certificate() async throws {
    try await withPostgres { pg in
      try await pg.enableTLS(.valid)
      let url = pg.tcpURL() + "?sslmode=verify-full&sslrootcert=\(pg.authorityPath)"
      try await withSidecar(Self.flags, url: url) { sidecar in
        try await Self.expectReadiness(
          of: sidecar, pg, reason: "login failing: tls: certificate not accepted"
        ) {
          try await pg.enableTLS(.expired)
        } mend: {
          try await pg.enableTLS(.valid)
        }
      }
    }
  }

  @Test("the server is full")
  func full() async throws {
    // Three slots are the superusers'.
    try await withPostgres(["max_connections": "12"]) { pg in
      try await pg.sql("create role app login password 'secret'; create role other login")
      try await withSidecar(Self.flags, url: pg.tcpURL(user: "app")) { sidecar in
        var others: [PsqlSession] = []
        try await Self.expectReadiness(of: sidecar, pg, reason: "no slots: at least ") {
          // A replacement that is under way at one moment leaves a slot at the next.
          let isFull = await eventually(within: .seconds(30)) {
            if let other = try? await pg.session(user: "other") { others.append(other) }
            return try await sidecar.ready().body.contains("no slots: ")
          }
          #expect(isFull)
        } mend: {
          for other in others { await other.end() }
        }
      }
    }
  }

  private static func expectReadiness(
    of sidecar: RunningSidecar, _ pg: TestPostgres, reason: String,
    break breakLogins: () async throws -> Void,
    halfway: () async throws -> Void = {}, mend: () async throws -> Void
  ) async throws {
    try await sidecar.waitUntilReady()
    let session = try await pg.session()
    let observer = sidecar.observer(every: .milliseconds(50))
    // Ageing goes on while all is well.
    let young = try await session.warmgateBackends()
    #expect(
      await eventually(within: .seconds(20)) {
        try await session.warmgateBackends().allSatisfy { !young.contains($0) }
      })

    try await breakLogins()
    let degraded = try await sidecar.waitUntil(200, within: .seconds(30)) {
      $0.body.hasPrefix("ready\ndegraded: ")
    }
    #expect(degraded.body.hasPrefix("ready\ndegraded: \(reason)"), "\(degraded.body)")
    let working = try await session.warmgateBackends()
    #expect(working.count == 3)

    let began = ContinuousClock.now
    var isHalf = false
    while ContinuousClock.now < began + outage {
      let answer = try await sidecar.ready()
      try #require(answer.status == 200)
      try #require(answer["x-envoy-degraded"] == "true")
      try #require(answer.body.hasPrefix("ready\ndegraded: \(reason)"), "\(answer.body)")
      try #require(try await session.warmgateBackends() == working, "a connection that worked was closed")
      if !isHalf, ContinuousClock.now > began + outage / 2 {
        isHalf = true
        try await halfway()
      }
      try await Task.sleep(for: .milliseconds(100))
    }
    #expect(try await sidecar.status()["login"]["failures_in_row"].int ?? 0 > 0)
    try await mend()

    let whole = try await sidecar.waitUntil(200, within: .seconds(90)) { $0.body == "ready\n" }
    #expect(whole["x-envoy-degraded"] == nil)
    // Ageing goes on: all of them are too old by now.
    #expect(
      await eventually(within: .seconds(30)) {
        let backends = try await session.warmgateBackends()
        return backends.count >= 3 && backends.allSatisfy { !working.contains($0) }
      })
    #expect(await observer.stop().statuses == [200])
  }
}
