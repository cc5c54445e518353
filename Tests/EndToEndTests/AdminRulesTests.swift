import Foundation
import Support
import Testing

@Suite("the rules of the admin listener, on the running sidecar", .timeLimit(.minutes(10)))
struct AdminRulesTests {
  /// One request to the admin listener, and whether it may pass.
  struct Rule: Sendable, CustomTestStringConvertible {
    var method = "POST"
    var path = "/drain?wait=0"
    var headers: [(String, String)] = []
    let status: Int
    var testDescription: String {
      "\(method) \(path) \(headers.map { "\($0.0): \($0.1)" }.joined(separator: ", ")) → \(status)"
    }
  }

  private static let postOnly: [Rule] = ["/drain", "/resume", "/quit"].flatMap { path in
    ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"].map { Rule(method: $0, path: path, status: 405) }
  }

  /// Requests of browsers, which are nobody's operator.
  private static let browsers: [Rule] = [
    Rule(headers: [("Origin", "http://evil.example")], status: 403),
    Rule(headers: [("Origin", "null")], status: 403),
    Rule(headers: [("Origin", "http://localhost:8087")], status: 403),
    Rule(headers: [("Sec-Fetch-Site", "cross-site")], status: 403),
    Rule(headers: [("Sec-Fetch-Site", "same-site")], status: 403),
    Rule(headers: [("Sec-Fetch-Site", "cross-site"), ("X-Warmgate-Page", "1")], status: 403),
    Rule(headers: [("Host", "evil.example")], status: 403),
    Rule(headers: [("Host", "localhost.evil.example")], status: 403),
    Rule(headers: [("Host", "127.0.0.1.evil.example:8087")], status: 403),
    Rule(headers: [("Host", "")], status: 403),
    Rule(headers: [("Host", "localhost"), ("Host", "evil.example")], status: 403),
    Rule(headers: [("Sec-Fetch-Site", "same-origin")], status: 202),
    Rule(headers: [("Sec-Fetch-Site", "none")], status: 202),
    Rule(headers: [("Origin", "http://127.0.0.1:8087"), ("X-Warmgate-Page", "1")], status: 202),
    Rule(headers: [("Host", "localhost")], status: 202),
    Rule(headers: [("Host", "LOCALHOST:8087")], status: 202),
    Rule(headers: [("Host", "127.0.0.1")], status: 202),
    Rule(headers: [("Host", "10.1.2.3:8087")], status: 202),
    Rule(headers: [("Host", "[::1]:8087")], status: 202),
    Rule(status: 202),
  ]

  @Test("drain, resume and quit are POST only on loopback and on a Unix socket")
  func postOnly() async throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("admin.sock")
    for (listen, endpoint) in [
      (nil, nil), ("[::1]:", Endpoint?.some(.tcp("::1", freePort()))), ("unix:\(path)", .unix(path)),
    ] {
      var flags: [String] = []
      if case .tcp(_, let port)? = endpoint { flags = ["--admin-listen", "\(listen ?? "")\(port)"] }
      if case .unix? = endpoint { flags = ["--admin-listen", listen ?? ""] }
      try await withSidecarAndPostgres(flags) { sidecar, _ in
        try await sidecar.waitUntilReady()
        let admin = endpoint.map { HTTPProbe($0) } ?? sidecar.admin
        try await expect(Self.postOnly, of: sidecar, admin)
        for method in ["GET", "HEAD", "PUT"] {
          let answer = try await admin.request(method, "/drain")
          #expect(answer["Allow"] == "POST")
        }
        #expect(try await admin.request("POST", "/drain?wait=0").status == 202)
      }
    }
    directory.remove()
  }

  @Test("a browser behind a port-forward is refused: Origin, Sec-Fetch-Site, Host")
  func browsers() async throws {
    try await withSidecarAndPostgres(["--drain-delay", "60s", "--drain-timeout", "90s"]) { sidecar, _ in
      try await sidecar.waitUntilReady()
      try await expect(Self.browsers, of: sidecar, sidecar.admin)
      // The same for what only reads.
      for rule in Self.browsers {
        let answer = try await sidecar.admin.request("GET", "/status", headers: rule.headers)
        #expect(answer.status == (rule.status == 202 ? 200 : 403), "\(rule.testDescription)")
      }
      // An HTTP/1.0 client has no Host to be judged by.
      #expect(try await sidecar.admin.request("GET", "/status", version: "1.0").status == 200)
      // The question that a browser asks first gets no permission.
      let preflight = try await sidecar.admin.request(
        "OPTIONS", "/drain",
        headers: [
          ("Origin", "http://evil.example"), ("Access-Control-Request-Method", "POST"),
          ("Access-Control-Request-Headers", "x-warmgate-page"),
        ])
      #expect(preflight.status == 403)
      #expect(!preflight.headers.contains { $0.name.lowercased().hasPrefix("access-control-") })
    }
  }

  @Test("on an address that others can reach, everything needs the token, and GET /drain works with it")
  func token() async throws {
    let directory = try TemporaryDirectory()
    let file = try directory.write("token", "  correct-horse \n")
    let port = freePort()
    let flags = [
      "--admin-listen", "0.0.0.0:\(port)", "--admin-token-file", file, "--drain-delay", "60s",
      "--drain-timeout", "90s",
    ]
    try await withSidecarAndPostgres(flags) { sidecar, _ in
      try await sidecar.waitUntilReady()
      let admin = HTTPProbe(port: port)
      let right = ("Authorization", "Bearer correct-horse")
      let wrong: [[(String, String)]] = [
        [], [("Authorization", "")], [("Authorization", "Bearer")], [("Authorization", "Bearer ")],
        [("Authorization", "Bearer wrong")], [("Authorization", "Bearer correct-hors")],
        [("Authorization", "Bearer correct-horse2")], [("Authorization", "Bearer CORRECT-HORSE")],
        [("Authorization", "Basic correct-horse")], [("Authorization", "correct-horse")],
        [("X-Token", "correct-horse")],
      ]
      try await expect(
        wrong.flatMap { headers in
          [("POST", "/drain"), ("GET", "/drain"), ("POST", "/resume"), ("POST", "/quit")].map {
            Rule(method: $0, path: $1, headers: headers, status: 401)
          }
        }, of: sidecar, admin, authorization: right)
      for headers in wrong {
        for path in ["/", "/status", "/nothing"] {
          let answer = try await admin.request("GET", path, headers: headers)
          #expect(answer.status == 401)
          #expect(answer["WWW-Authenticate"] == "Bearer realm=\"warmgate\"")
          #expect(!answer.body.contains("correct"))
        }
      }
      // What browsers send is refused with the right token too; resume and quit stay POST only.
      try await expect(
        Self.browsers.map { rule in
          var rule = rule
          rule.headers.append(right)
          return rule
        } + [
          Rule(method: "GET", path: "/resume", headers: [right], status: 405),
          Rule(method: "GET", path: "/quit", headers: [right], status: 405),
          Rule(method: "HEAD", path: "/drain", headers: [right], status: 405),
          Rule(method: "GET", path: "/drain?wait=0", headers: [right], status: 202),
          Rule(
            method: "GET", path: "/drain?wait=0", headers: [("authorization", "bearer correct-horse")],
            status: 202),
        ], of: sidecar, admin, authorization: right)
      #expect(!sidecar.process.logText.contains("correct-horse"))
      #expect(try await admin.request("GET", "/status", headers: [right]).status == 200)
    }
    directory.remove()
  }

  @Test("kubelet's httpGet hook drains: GET /drain with the token blocks and tells the counts")
  func httpGetHook() async throws {
    let directory = try TemporaryDirectory()
    let file = try directory.write("token", "t")
    let port = freePort()
    let flags = ["--admin-listen", "0.0.0.0:\(port)", "--admin-token-file", file, "--drain-delay", "1s"]
    try await withSidecarAndPostgres(flags) { sidecar, pg in
      try await sidecar.waitUntilReady()
      let answer = try await HTTPProbe(port: port).request(
        "GET", "/drain", headers: [("Authorization", "Bearer t")], within: .seconds(30))
      #expect(answer.status == 200)
      #expect(
        answer.body == "drained: 0 leases finished, 0 cut off, 0 waiting refused, 2 connections closed\n")
      await pg.expectCleanEnds(2)
    }
    directory.remove()
  }

  @Test("a token that was rotated is used at once; an empty, missing or unreadable file lets nobody in")
  func rotation() async throws {
    let directory = try TemporaryDirectory()
    let file = try directory.write("token", "first")
    let port = freePort()
    let flags = ["--admin-listen", "0.0.0.0:\(port)", "--admin-token-file", file]
    try await withSidecarAndPostgres(flags) { sidecar, _ in
      let admin = HTTPProbe(port: port)
      let status = { (token: String) in
        try await admin.request("GET", "/status", headers: [("Authorization", "Bearer \(token)")]).status
      }
      #expect(try await status("first") == 200)
      try directory.write("token", "second")
      #expect(try await status("second") == 200)
      #expect(try await status("first") == 401)
      try directory.write("token", " \n")
      for token in ["", "first", "second", " "] { #expect(try await status(token) == 401) }
      try FileManager.default.removeItem(atPath: file)
      for token in ["", "first", "second"] { #expect(try await status(token) == 401) }
      try FileManager.default.createDirectory(atPath: file, withIntermediateDirectories: false)
      #expect(try await status("second") == 401)
      try FileManager.default.removeItem(atPath: file)
      // As Kubernetes does it: another file takes the place.
      try directory.write("token", "third")
      #expect(try await status("third") == 200)
      #expect(try await sidecar.live().status == 200)
    }
    directory.remove()
  }

  @Test("a loopback address with a token file needs the token, and still takes POST only")
  func loopbackToken() async throws {
    let directory = try TemporaryDirectory()
    let file = try directory.write("token", "t")
    try await withSidecarAndPostgres(["--admin-token-file", file]) { sidecar, _ in
      try await sidecar.waitUntilReady()
      let right = ("Authorization", "Bearer t")
      try await expect(
        [
          Rule(status: 401), Rule(method: "GET", path: "/drain", status: 401),
          Rule(method: "GET", path: "/drain", headers: [right], status: 405),
          Rule(headers: [right], status: 202),
        ], of: sidecar, sidecar.admin, authorization: right)
    }
    directory.remove()
  }

  /// Sends each request; what may not pass changes nothing, is logged as an error and, if it is a drain, counted.
  /// What passes is taken back.
  private func expect(
    _ rules: [Rule], of sidecar: RunningSidecar, _ admin: HTTPProbe, authorization: (String, String)? = nil
  ) async throws {
    let headers = authorization.map { [$0] } ?? []
    func counted() async throws -> Int? {
      try JSONValue(try await admin.request("GET", "/status", headers: headers).body)["counters"][
        "drains_refused"
      ]
      .int
    }
    let (logged, before) = (refusals(sidecar).count, try #require(try await counted()))
    let refused = rules.filter { $0.status >= 400 }
    for rule in refused {
      let answer = try await admin.request(rule.method, rule.path, headers: rule.headers)
      #expect(answer.status == rule.status, "\(rule.testDescription): \(answer.body)")
      #expect(try await sidecar.ready().status == 200, "\(rule.testDescription)")
    }
    // Each is a line, with what was asked and why not.
    #expect(await eventually { refusals(sidecar).count >= logged + refused.count })
    for (entry, rule) in zip(refusals(sidecar).dropFirst(logged), refused) {
      #expect(entry.level == "error")
      #expect(entry.message == "\(rule.method) \(rule.path.prefix { $0 != "?" }) refused")
      #expect(entry["status"].int == rule.status)
      #expect(!(entry["reason"].string ?? "").isEmpty)
    }
    #expect(refusals(sidecar).count == logged + refused.count)
    #expect(try await counted() == before + refused.count { $0.path.hasPrefix("/drain") })

    for rule in rules where rule.status < 400 {
      let answer = try await admin.request(rule.method, rule.path, headers: rule.headers)
      #expect(answer.status == rule.status, "\(rule.testDescription): \(answer.body)")
      #expect(await eventually { try await sidecar.ready().status == 503 }, "\(rule.testDescription)")
      #expect(try await admin.request("POST", "/resume", headers: headers).status == 200)
      try await sidecar.waitUntilReady()
    }
  }

  private func refusals(_ sidecar: RunningSidecar) -> [RunningSidecar.LogEntry] {
    sidecar.log.filter { $0.message.hasSuffix(" refused") }
  }
}

@Suite("the address of the admin listener", .timeLimit(.minutes(10)))
struct AdminAddressTests {
  @Test(
    "an address that others can reach is refused without a usable token file: one line, exit 2",
    arguments: ["0.0.0.0", "[::]", "", "*", "[::ffff:10.0.0.1]"])
  func needsToken(host: String) async throws {
    let directory = try TemporaryDirectory()
    let empty = try directory.write("empty", "\n")
    for (file, says) in [
      (nil, "--admin-token-file"), (directory.file("none"), "cannot be opened"), (empty, "is empty"),
    ] {
      let flags = file.map { ["--admin-token-file", $0] } ?? []
      let result = try await serve(["--admin-listen", "\(host):\(freePort())"] + flags)
      #expect(result.status == .exited(2))
      #expect(result.errors.contains(says), "\(result.errors)")
      #expect(result.errors.split(separator: "\n").count == 1, "\(result.errors)")
    }
    directory.remove()
  }

  @Test(
    "every address of 127.0.0.0/8, ::1 and localhost are loopback",
    arguments: ["127.9.8.7", "[::1]", "localhost"])
  func loopback(host: String) async throws {
    let port = freePort()
    try await withSidecar(["--admin-listen", "\(host):\(port)"], url: "postgresql://127.0.0.1:1/none") { _ in
      let numeric = host == "localhost" ? "127.0.0.1" : host.trimmingCharacters(in: ["[", "]"])
      let answer = try await HTTPProbe(.tcp(numeric, port)).request("GET", "/status")
      #expect(answer.status == 200)
    }
  }

  @Test("a Unix socket is 0600, and gone after the end")
  func unixMode() async throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("admin.sock")
    try await withSidecarAndPostgres(["--admin-listen", "unix:\(path)"]) { sidecar, _ in
      let attributes = try FileManager.default.attributesOfItem(atPath: path)
      #expect(attributes[.posixPermissions] as? Int == 0o600)
      #expect(attributes[.type] as? FileAttributeType == .typeSocket)
      #expect(try await HTTPProbe(.unix(path)).request("GET", "/status").status == 200)
      #expect(await sidecar.terminate() == .exited(0))
      #expect(!FileManager.default.fileExists(atPath: path))
    }
    directory.remove()
  }

  @Test("a stale socket is replaced, a live one and another kind of file are refused and stay")
  func unixReuse() async throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("admin.sock")
    let url = "postgresql://127.0.0.1:1/none"
    try await withSidecar(["--admin-listen", "unix:\(path)"], url: url) { await $0.process.kill() }
    #expect(FileManager.default.fileExists(atPath: path))
    try await withSidecar(["--admin-listen", "unix:\(path)"], url: url) { first in
      #expect(try await HTTPProbe(.unix(path)).request("GET", "/status").status == 200)
      let second = try await serve(["--admin-listen", "unix:\(path)"])
      #expect(second.status == .exited(2))
      #expect(second.errors.contains("another process answers on this socket"))
      #expect(second.errors.split(separator: "\n").count == 1)
      #expect(try await HTTPProbe(.unix(path)).request("GET", "/status").status == 200)
      #expect(first.process.isRunning)
    }
    let file = try directory.write("file", "precious")
    let refused = try await serve(["--admin-listen", "unix:\(file)"])
    #expect(refused.status == .exited(2))
    #expect(refused.errors.contains("is not a socket"))
    #expect(try String(contentsOfFile: file, encoding: .utf8) == "precious")
    directory.remove()
  }

  private func serve(_ flags: [String]) async throws -> CommandResult {
    try await run(
      [
        ServedProcess.executable, "serve", "--listen", "127.0.0.1:\(freePort())", "--database-url",
        "postgresql://127.0.0.1:1/none", "--log-format", "json",
      ] + flags, within: .seconds(20))
  }

  @Test("the commands reach it by its host's name", .needsNetworkNamespaces)
  func byName() async throws {
    try await withRemotePostgres { path, pg in
      try path.setClientHosts("127.0.0.1 localhost admin.warmgate.test\n")
      try await withSidecar(["--drain-delay", "0s"], url: pg.tcpURL(), namespace: path.client) { sidecar in
        try await sidecar.waitUntilReady(within: .seconds(15))
        for (command, said) in [("drain", "drained: "), ("resume", "resumed")] {
          let result = try await run([
            "ip", "netns", "exec", path.client, ServedProcess.executable, command, "--url",
            "http://admin.warmgate.test:\(sidecar.adminPort)",
          ])
          #expect(result.status == .exited(0), "\(result.errors)")
          #expect(result.output.hasPrefix(said))
        }
      }
    }
  }
}
