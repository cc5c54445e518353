import Foundation
import Support
import Testing

/// Settings that are refused. What `serve` is given here beside the mistake would work: a database that answers, free
/// ports, a Unix socket in an empty directory.
@Suite("bad input")
struct BadInputTests {
  /// A database that counts who comes, and a place where a half-started process would leave something.
  private final class Bench: Sendable {
    let pg: TestPostgres
    let directory: TemporaryDirectory
    let socket: TemporaryDirectory
    let healthPort = freePort()

    init(_ pg: TestPostgres) throws {
      self.pg = pg
      directory = try TemporaryDirectory()
      socket = try TemporaryDirectory()
    }

    /// Expects that `serve` refuses: exit 2, one line, nothing on standard output, no password, nothing left behind.
    /// Returns the line without the program's name.
    @discardableResult
    func refusal(
      of flags: [String], environment: [String: String] = [:], within limit: Duration = .seconds(30),
      sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> String {
      var variables = ["DATABASE_URL": pg.tcpURL()]
      variables.merge(environment) { $1 }
      // The mistake comes last, and the last of several wins.
      let result = try await run(
        [
          ServedProcess.executable, "serve", "--listen", "127.0.0.1:\(healthPort)", "--admin-listen",
          "unix:\(socket.file("admin"))",
        ] + flags, environment: cleanEnvironment(adding: variables), within: limit)
      let call = "\(flags) \(environment)"
      #expect(result.status == .exited(2), "\(call)", sourceLocation: sourceLocation)
      #expect(result.output == "", "\(call)", sourceLocation: sourceLocation)
      let lines = result.errors.split(separator: "\n", omittingEmptySubsequences: false)
      #expect(
        lines.count == 2 && lines.last == "", "\(call): \(result.errors)", sourceLocation: sourceLocation)
      #expect(result.errors.hasPrefix("warmgate: "), "\(call)", sourceLocation: sourceLocation)
      #expect(!result.errors.contains(TestPostgres.password), "\(call)", sourceLocation: sourceLocation)
      let left = try FileManager.default.contentsOfDirectory(atPath: socket.path)
      #expect(left.isEmpty, "\(call) left \(left)", sourceLocation: sourceLocation)
      await #expect(throws: ProbeError.refused, sourceLocation: sourceLocation) {
        try await HTTPProbe(port: healthPort).request("GET", "/live")
      }
      return String(result.errors.dropFirst("warmgate: ".count).dropLast())
    }

    /// Expects a line that names `what`, and holds every one of the words.
    func expectRefusal(
      _ flags: [String], environment: [String: String] = [:], naming what: String, _ words: String...,
      sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
      let line = try await refusal(of: flags, environment: environment, sourceLocation: sourceLocation)
      #expect(line.hasPrefix(what), "\(line)", sourceLocation: sourceLocation)
      for word in words { #expect(line.contains(word), "\(line)", sourceLocation: sourceLocation) }
    }
  }

  /// Runs `body`, and expects that nobody has come to the database.
  private func withBench(_ body: (Bench) async throws -> Void) async throws {
    try await withPostgres { pg in
      let bench = try Bench(pg)
      try await body(bench)
      #expect(pg.connectionsReceived == 0)
      // The count can fail: somebody who comes is counted.
      try await pg.sql("select 1")
      #expect(pg.connectionsReceived == 1)
    }
  }

  /// Every setting that has values that are not accepted, with one of them and a word of the answer.
  private static let values: [(flag: String, value: String, word: String)] = [
    ("database-url", "db.example.com", "URI"), ("password-file", "/nonexistent", "No such file"),
    ("connect-timeout", "5", "a unit"), ("connect-timeout", "1ms", "at least 100ms"),
    ("require-role", "master", "primary"), ("max-replay-lag", "fast", "a unit"),
    ("max-replay-lag", "5s", "--require-role standby"),
    ("listen", "8086", "port"), ("listen", "127.0.0.1:http", "port"), ("listen", "127.0.0.1:70000", "65535"),
    ("listen", "db.example.com:80", "not an IP address"), ("listen", "[::1:80", "IPv6"),
    ("listen", "::1:80", "brackets"), ("listen", "1.2.3:80", "not an IP address"),
    ("listen", "192.0.2.1:8086", "does not have that address"),
    ("admin-listen", "unix:admin.sock", "absolute path"), ("admin-listen", "unix:/tmp/", "name a file"),
    ("admin-listen", "unix:/" + String(repeating: "a", count: 120), "107"),
    ("admin-listen", "unix:/nonexistent/admin.sock", "directory does not exist"),
    ("admin-listen", "0.0.0.0:8087", "--admin-token-file"),
    ("admin-listen", "[::]:8087", "--admin-token-file"),
    ("admin-listen", ":8087", "--admin-token-file"), ("admin-listen", "192.0.2.1:8087", "--admin-token-file"),
    ("admin-token-file", "/nonexistent", "No such file"),
    ("agent-listen", "8088", "no port"), ("agent-listen", "unix:agent.sock", "absolute path"),
    ("agent-degraded-weight", "0", "between 1 and 100"), ("agent-degraded-weight", "half", "whole number"),
    ("grpc-listen", "db:8089", "not an IP address"), ("grpc-listen", "[::1]", "no port"),
    ("min-connections", "0", "at least 1"), ("min-connections", "-1", "whole number"),
    ("min-connections", "two", "whole number"), ("min-connections", "2.5", "whole number"),
    ("min-connections", "99999999999999999999", "whole number"), ("max-connections", "1", "min-connections"),
    ("max-connections", "100000", "at most 10000"), ("acquire-timeout", "0", "longer than zero"),
    ("max-waiting", "some", "whole number"), ("max-waiting", "10000000", "at most"),
    ("idle-timeout", "1ms", "at least 1s"), ("max-lifetime", "half an hour", "a unit"),
    ("health-check-interval", "0s", "at least 1s"), ("leak-after", "0s", "longer than zero"),
    ("elastic-min", "maybe", "true or false"), ("fleet-tickets", "1001", "and 1000"),
    ("fleet-tickets", "two", "whole number"), ("tickets-database", "fleet", "--fleet-tickets"),
    ("hold-for-app", "3", "fleet-tickets"), ("probers-must-see", "101", "at most 100"),
    ("app-name-prefix", "  ", "application_name"),
    ("splay", "-1s", "a unit"),
    ("probe-query", "  ", "a query"), ("probe-interval", "5 s", "a unit"),
    ("probe-interval", "99999h", "8760h"), ("probe-interval", "1ms", "at least 100ms"),
    ("probe-timeout", "10s", "probe-interval"), ("rise", "0", "between 1 and 100"),
    ("fall", "101", "between"),
    ("when-database-lost", "panic", "hold=DURATION"), ("when-database-lost", "hold=1", "a unit"),
    ("drain-delay", "1m", "drain-delay"), ("drain-timeout", "1s", "drain-delay"),
    ("drain-marker", "/nonexistent/drained", "directory does not exist"),
    ("application-name", "a name", "printable"), ("log-format", "xml", "json"),
    ("log-level", "loud", "debug"),
  ]

  @Test("every bad value of a flag is one line that names it, and nothing has begun")
  func flags() async throws {
    try await withBench { bench in
      for (flag, value, word) in Self.values {
        let line = try await bench.refusal(of: ["--\(flag)=\(value)"])
        // Of two settings that do not fit, the other one may be named; a database URL is never shown.
        #expect(line.contains(flag), "\(line)")
        #expect(line.contains(word), "\(line)")
        #expect(flag == "database-url" || line.contains("\"") || line.contains(value), "\(line)")
      }
    }
  }

  @Test("every bad value of a variable is one line that names the variable, and nothing has begun")
  func variables() async throws {
    try await withBench { bench in
      // The addresses are given as flags, which win over variables.
      for (flag, value, word) in Self.values where !["listen", "admin-listen"].contains(flag) {
        let variable = "WARMGATE_" + flag.uppercased().replacing("-", with: "_")
        let line = try await bench.refusal(of: [], environment: [variable: value])
        #expect(line.contains(variable) || line.contains("(the default)"), "\(line)")
        #expect(line.contains(word), "\(line)")
      }
    }
  }

  @Test("every setting has a bad value in this test")
  func complete() async throws {
    let printed = try await runChecked([ServedProcess.executable, "serve", "--print-settings", "--json"])
    let settings = try JSONValue(printed).object.keys
    // Any text will do as an expected answer.
    #expect(Set(settings) == Set(Self.values.map(\.flag) + ["probe-expect"]))
  }

  @Test("every bad database URL is one line that names it, wherever it comes from")
  func urls() async throws {
    try await withBench { bench in
      for (url, word) in [
        ("mysql://app@db/app", "URI"), ("postgresql://db:none/app", "port"),
        ("postgresql://db:0/app", "port"),
        ("postgresql://db:70000/app", "port"), ("host=a,b port=1,2,3", "3 port numbers to 2 hosts"),
        ("postgresql://db/app?sslmode=perhaps", "sslmode"),
        ("postgresql://db/app?nonsense=1", "does not understand"),
        ("postgresql://db/app?sslmode", "does not understand"), ("host=db pasword=x", "does not understand"),
        ("postgresql://[::1/app", "does not understand"), ("postgresql://db%zz/app", "percent"),
        ("host='db", "unterminated"), ("service=nowhere", "nowhere"),
        ("postgresql://db/app?target_session_attrs=leader", "target_session_attrs"),
        ("postgresql://db/app?keepalives_idle=soon", "keepalives_idle"),
        ("postgresql://db/app?connect_timeout=soon", "connect_timeout"), ("host=postgresql://db/app", "host"),
        ("dbname=postgresql://db/app", "dbname"),
        ("postgresql://db/app?ssl_min_protocol_version=9", "ssl_min"),
      ] {
        try await bench.expectRefusal(["--database-url", url], naming: "--database-url: ", word)
      }
      for variable in ["WARMGATE_DATABASE_URL", "DATABASE_URL"] {
        try await bench.expectRefusal(
          [], environment: [variable: "postgresql://db:none/app"], naming: "\(variable): ", "port")
      }
      for (variable, value, word) in [
        ("PGPORT", "none", "port"), ("PGSSLMODE", "perhaps", "sslmode"), ("PGSERVICE", "nowhere", "nowhere"),
        ("PGTARGETSESSIONATTRS", "leader", "target_session_attrs"),
        ("PGDATABASE", "postgresql://db", "dbname"),
      ] {
        try await bench.expectRefusal(
          [], environment: ["DATABASE_URL": "", variable: value], naming: "--database-url", word)
      }
    }
  }

  @Test("files that cannot be used: password, token, drain marker")
  func files() async throws {
    try await withBench { bench in
      let directory = bench.directory
      let empty = try directory.write("empty", "")
      let blank = try directory.write("blank", "\nsecond line\n")
      let zero = try directory.write("zero", "a\u{0}b")
      let token = try directory.write("token", "t0ken\n")
      let words = try directory.write("words", "two words\n")
      for (path, word) in [
        ("/nonexistent", "No such file"), (directory.path, "Is a directory"), (empty, "is empty"),
        (blank, "is empty"), (zero, "zero byte"),
      ] {
        try await bench.expectRefusal(
          ["--password-file", path], naming: "--password-file \"\(path)\": ", word)
        try await bench.expectRefusal(
          [], environment: ["WARMGATE_PASSWORD_FILE": path], naming: "WARMGATE_PASSWORD_FILE \"\(path)\": ",
          word)
      }
      // A named pipe that nobody writes to keeps nobody waiting.
      let pipe = directory.file("pipe")
      #expect(mkfifo(pipe, 0o600) == 0)
      try await bench.expectRefusal(["--password-file", pipe], naming: "--password-file", "is empty")
      try await bench.expectRefusal(["--admin-token-file", pipe], naming: "--admin-token-file", "is empty")
      for (path, word) in [(empty, "empty"), (words, "one word"), (directory.path, "directory")] {
        try await bench.expectRefusal(
          ["--admin-listen", "0.0.0.0:\(freePort())", "--admin-token-file", path],
          naming: "--admin-token-file \"\(path)\": ", word)
      }
      for path in [directory.path, directory.path + "/"] {
        try await bench.expectRefusal(["--drain-marker", path], naming: "--drain-marker", "directory")
      }
      try await bench.expectRefusal(["--drain-marker", token + "/x"], naming: "--drain-marker", "directory")
    }
  }

  @Test("ports and sockets that others have")
  func taken() async throws {
    try await withBench { bench in
      // PostgreSQL listens there, and nobody connects.
      let port = bench.pg.port
      try await bench.expectRefusal(
        ["--listen", "127.0.0.1:\(port)"], naming: "--listen 127.0.0.1:\(port): ", "in use")
      // The health listener is bound first, and gone with the process.
      try await bench.expectRefusal(
        ["--admin-listen", "127.0.0.1:\(port)"], naming: "--admin-listen 127.0.0.1:\(port): ", "in use")
      try await bench.expectRefusal(
        ["--admin-listen", "127.0.0.1:\(bench.healthPort)"], naming: "--admin-listen", "--listen")
      for flag in ["--agent-listen", "--grpc-listen"] {
        try await bench.expectRefusal(
          [flag, "127.0.0.1:\(port)"], naming: "\(flag) 127.0.0.1:\(port): ", "in use")
      }

      let file = try bench.directory.write("file", "keep me")
      try await bench.expectRefusal(
        ["--admin-listen", "unix:\(file)"], naming: "--admin-listen", "is not a socket")
      #expect(try String(contentsOfFile: file, encoding: .utf8) == "keep me")
      try await bench.expectRefusal(
        ["--admin-listen", "unix:\(bench.directory.path)"], naming: "--admin-listen", "is not a socket")
      try await bench.expectRefusal(
        ["--admin-listen", "unix:\(file)/admin"], naming: "--admin-listen", "directory does not exist")
      // Where somebody answers, the socket stays his.
      let socket = bench.directory.file("admin")
      try await withSidecar(["--admin-listen", "unix:\(socket)"], url: "host=127.0.0.1 port=1") { _ in
        try await bench.expectRefusal(
          ["--admin-listen", "unix:\(socket)"], naming: "--admin-listen", "another process answers")
        #expect(try await HTTPProbe(.unix(socket)).request("GET", "/status").status == 200)
      }
    }
  }

  @Test("words that are no options: nearest spelling, and no half of a password")
  func words() async throws {
    try await withBench { bench in
      for (words, line) in [
        (["--databse-url", "x"], "unknown option \"--databse-url\": did you mean --database-url?"),
        (["--min-conections=3"], "unknown option \"--min-conections\": did you mean --min-connections?"),
        (["--password=s3cret"], "unknown option \"--password\": did you mean --password-file?"),
        (["--xyz"], "unknown option \"--xyz\"; \"warmgate help serve\" lists what there is"),
        (["-p", "1"], "unknown option \"-p\"; \"warmgate help serve\" lists what there is"),
        (["now"], "unexpected argument \"now\"; \"warmgate help serve\" shows the usage"),
        (["--json"], "--json goes with --print-settings"),
        (["--listen"], "--listen needs a value"),
        (["--check-settings=yes"], "--check-settings takes no value"),
      ] {
        #expect(try await bench.refusal(of: words) == line)
      }
      // A line break in a value does not make two lines.
      try await bench.expectRefusal(
        ["--log-level", "a\nwarmgate: ready"], naming: "--log-level \"a\\nwarmgate")
    }
  }

  @Test("commands: an unknown one with the nearest, none at all, help and version")
  func commands() async throws {
    func call(_ words: String...) async throws -> CommandResult {
      try await run([ServedProcess.executable] + words)
    }
    for (word, line) in [
      ("serv", "unknown command \"serv\": did you mean serve?"),
      ("chekc", "unknown command \"chekc\": did you mean check?"),
      ("zzz", "unknown command \"zzz\"; \"warmgate help\" lists what there is"),
    ] {
      let result = try await call(word)
      #expect(result.status == .exited(2))
      #expect(result.errors == "warmgate: \(line)\n")
      #expect(result.output == "")
    }
    let none = try await call()
    #expect(none.status == .exited(2))
    #expect(none.errors.hasPrefix("warmgate: give a command: serve, "))
    for words in [["help"], ["--help"], ["help", "serve"], ["serve", "--help"], ["version"], ["--version"]] {
      let result = try await run([ServedProcess.executable] + words)
      #expect(result.status == .exited(0), "\(words)")
      #expect(!result.output.isEmpty && result.errors.isEmpty, "\(words)")
    }
    #expect(try await call("help", "nonsense").status == .exited(2))
  }

  @Test("--check-settings and --print-settings start nothing, listen nowhere, ask nobody")
  func reports() async throws {
    try await withBench { bench in
      let socket = bench.socket.file("admin")
      let flags = [
        "--listen", "127.0.0.1:\(bench.healthPort)", "--admin-listen", "unix:\(socket)", "--min-connections",
        "3",
      ]
      let environment = cleanEnvironment(
        adding: [
          "DATABASE_URL": bench.pg.tcpURL(), "WARMGATE_PROBE_INTERVAL": "2s",
          "WARMGATE_PORT": "tcp://10.0.0.1:1",
          "WARMGATE_DATABASE_PASSWORD": "s3cret",
        ])
      func serve(_ words: String...) async throws -> CommandResult {
        try await run([ServedProcess.executable, "serve"] + flags + words, environment: environment)
      }
      let check = try await serve("--check-settings")
      #expect(check.status == .exited(0))
      #expect(check.output == "")
      let text = try await serve("--print-settings")
      #expect(text.status == .exited(0))
      let lines = text.output.split(separator: "\n").map { $0.split(separator: " ").joined(separator: " ") }
      #expect(lines.contains("min-connections 3 flag"))
      #expect(lines.contains("probe-interval 2s WARMGATE_PROBE_INTERVAL"))
      #expect(lines.contains("probe-timeout 1s default"))
      #expect(
        lines.contains(
          "database-url postgresql://postgres:***@127.0.0.1:\(bench.pg.port)/postgres DATABASE_URL"))
      let json = try await serve("--print-settings", "--json")
      #expect(json.status == .exited(0))
      let settings = try JSONValue(json.output)
      #expect(settings["min-connections"]["value"].string == "3")
      #expect(settings["min-connections"]["source"].string == "flag")
      #expect(settings["probe-interval"]["source"].string == "WARMGATE_PROBE_INTERVAL")
      #expect(settings["password-file"]["value"] == .null)
      // Variables that nobody reads are warned about by their names; the value may be a secret.
      for result in [check, text, json] {
        #expect(result.errors.contains("\"WARMGATE_PORT\" is not a setting and is ignored"))
        #expect(result.errors.contains("\"WARMGATE_DATABASE_PASSWORD\" is not a setting"))
        for secret in ["s3cret", "10.0.0.1", TestPostgres.password] {
          #expect(!result.errors.contains(secret) && !result.output.contains(secret))
        }
      }
      #expect(!FileManager.default.fileExists(atPath: socket))
    }
  }
}
