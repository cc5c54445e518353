import Support
import Testing

@testable import warmgate

@Suite struct CommandLineTests {
  @Test(
    "what is not understood is one line on standard error, nothing on standard output, and exit code 2",
    arguments: [
      (["drian"], "unknown command \"drian\": did you mean drain?"),
      (["deploy"], "unknown command \"deploy\"; \"warmgate help\" lists what there is"),
      ([], "give a command: serve, wait, probe, drain, resume, check, plan, simulate, copy, version, help"),
      (["--listen", "x"], "give a command before the option \"--listen\""),
      (
        ["serve", "--prob-interval", "1s"],
        "unknown option \"--prob-interval\": did you mean --probe-interval?"
      ),
      (["serve", "now"], "unexpected argument \"now\"; \"warmgate help serve\" shows the usage"),
      (
        ["serve", "postgres://app:s3cret@db/o"],
        "unexpected argument \"postgres://app:***@db/o\"; \"warmgate help serve\" shows the usage"
      ),
      (["serve", "--json"], "--json goes with --print-settings"),
      (["probe"], "probe needs to know what to ask: live, ready or startup"),
      (["probe", "redy"], "probe \"redy\": give live, ready or startup; did you mean ready?"),
      (["probe", "ready", "live"], "unexpected argument \"live\"; \"warmgate help probe\" shows the usage"),
      (
        ["probe", "ready", "--url", "https://x"],
        "--url \"https://x\": give http://HOST:PORT or unix:/path; a sidecar speaks plain HTTP"
      ),
      (
        ["wait", "--timeout", "1"],
        "--timeout \"1\": give a whole number and a unit, such as 250ms, 5s, 2m or 1h"
      ),
      (
        ["drain", "--min-connections", "3"],
        "unknown option \"--min-connections\"; \"warmgate help drain\" lists what there is"
      ),
      (
        ["drain", "--token-file", "/nonexistent"],
        "--token-file \"/nonexistent\": cannot be opened: No such file or directory"
      ),
      (["plan"], "plan needs to know how many pods: --replicas NUMBER"),
      (["plan", "--replicas", "-1"], "--replicas \"-1\": give a whole number that is not negative"),
      (["plan", "--replicas", "1000001"], "--replicas \"1000001\": give at most 100000"),
      (
        ["plan", "--replicas", "2", "--max-surge", "half"],
        "--max-surge \"half\": give a number of pods such as 1, or a share such as 25%"
      ),
      (
        ["plan", "--replicas", "2", "--max-surge", "0", "--max-unavailable", "0%"],
        "--max-surge and --max-unavailable are both 0: Kubernetes could never roll that"
      ),
      (
        ["plan", "--replicas", "2", "--server-reserved", "3"],
        "--server-reserved goes with --server-connections"
      ),
      (["help", "drian"], "unknown command \"drian\": did you mean drain?"),
      (["version", "2"], "unexpected argument \"2\"; \"warmgate help version\" shows the usage"),
      (
        ["serve", "--password-file", "/nonexistent", "--check-settings"],
        "--password-file \"/nonexistent\": cannot be opened: No such file or directory"
      ),
      (
        ["serve", "--admin-token-file", "/nonexistent"],
        "--admin-token-file \"/nonexistent\": cannot be opened: No such file or directory"
      ),
      (
        ["serve", "--drain-marker", "/nonexistent/drained"],
        "--drain-marker \"/nonexistent/drained\": the directory does not exist; mount an emptyDir there or choose another path"
      ),
      (
        ["serve", "--drain-marker", "/tmp/"], "--drain-marker \"/tmp/\": names a directory; give a file in it"
      ),
      (
        ["serve", "--database-url", "nonsense"],
        "--database-url: neither a URI (postgresql://user@host/database) nor keywords (host=… dbname=…)"
      ),
      (
        ["check", "--database-url", "postgres://u:s3cret@s3cret@h/d"],
        "--database-url: an '@' or '/' of the user or password must be written as %40 or %2F, there is one too many"
      ),
    ])
  func usageErrors(words: [String], text: String) async throws {
    let result = try await run([ServedProcess.executable] + words)
    #expect(result.status == .exited(2))
    #expect(result.errors == "warmgate: \(text)\n")
    #expect(result.output == "")
  }

  @Test("files that hold nothing of use are refused")
  func files() async throws {
    let directory = try TemporaryDirectory()
    for (text, why) in [
      ("", "the file is empty"), (" \n", "the file is empty"),
      ("two words", "the file must hold one word of printable ASCII"),
      ("to\u{0}ken", "the file must hold one word of printable ASCII"),
      (String(repeating: "x", count: 5000), "is longer than 4096 bytes; a token is a word"),
    ] {
      let path = try directory.write("token", text)
      let result = try await warmgate("serve", "--check-settings", "--admin-token-file", path)
      #expect(result.status == .exited(2))
      #expect(result.errors == "warmgate: --admin-token-file \"\(path)\": \(why)\n")
    }
    let empty = try directory.write("password", "\n")
    let result = try await warmgate("serve", "--check-settings", "--password-file", empty)
    #expect(result.status == .exited(2))
    #expect(result.errors.hasPrefix("warmgate: --password-file \"\(empty)\": "))
  }

  @Test("--check-settings says nothing of good settings and exits 0, also with files and a token")
  func checkSettings() async throws {
    let directory = try TemporaryDirectory()
    let result = try await warmgate(
      "serve", "--check-settings", "--admin-listen", "0.0.0.0:8087", "--admin-token-file",
      try directory.write("token", "t0ken\n"), "--password-file", try directory.write("password", "s3cret\n"),
      "--drain-marker", directory.file("drained"), environment: ["DATABASE_URL": "postgres://app@db/orders"])
    #expect(result.status == .exited(0))
    #expect(result.errors == "")
    #expect(result.output == "")
  }

  @Test("--print-settings shows what flags and environment gave, and warns about variables that nobody reads")
  func printSettings() async throws {
    let result = try await warmgate(
      "serve", "--print-settings", "--min-connections", "3",
      environment: [
        "DATABASE_URL": "postgres://app:s3cret@db/orders", "WARMGATE_PROBE_INTERVAL": "2s",
        "WARMGATE_PORT": "tcp://10.0.0.1:8086",
      ])
    #expect(result.status == .exited(0))
    let lines = result.output.split(separator: "\n").map { $0.split(separator: " ").joined(separator: " ") }
    #expect(lines.count == SettingsTable.all.count)
    #expect(lines.contains("database-url postgres://app:***@db/orders DATABASE_URL"))
    #expect(lines.contains("min-connections 3 flag"))
    #expect(lines.contains("probe-interval 2s WARMGATE_PROBE_INTERVAL"))
    #expect(lines.contains("probe-timeout 1s default"))
    #expect(result.errors == "warmgate: warning: \"WARMGATE_PORT\" is not a setting and is ignored\n")
  }

  @Test("version and help exist in the forms people try", arguments: ["version", "--version", "-V"])
  func version(word: String) async throws {
    let result = try await warmgate(word)
    #expect(result.status == .exited(0))
    #expect(result.output == "warmgate \(Warmgate.version)\n")
  }

  @Test("help lists every command, and of a command every option and exit code, in lines of 110 columns")
  func help() async throws {
    let overview = try await warmgate("help")
    #expect(overview.status == .exited(0))
    for words in [["--help"], ["-h"]] {
      #expect(try await run([ServedProcess.executable] + words).output == overview.output)
    }
    for command in Command.all {
      #expect(overview.output.contains("\n  \(command.name)"))
      let text = try await warmgate("help", command.name)
      #expect(text.status == .exited(0))
      for form in command.forms where form.name != "help" {
        let letter = form.letter.map { "-\($0), " } ?? ""
        #expect(text.output.contains("  \(letter)--\(form.name)"), "\(command.name) --\(form.name)")
      }
      for exit in command.exits {
        #expect(text.output.contains("\n  \(exit.code)  \(exit.meaning.prefix(30))"))
      }
      #expect(text.output.split(separator: "\n").allSatisfy { $0.count <= 110 })
      #expect(text.errors == "")
      if command.name != "help" {
        #expect(try await warmgate(command.name, "--help").output == text.output)
      }
    }
  }

  @Test("a closed standard output does not keep a command from ending")
  func closedOutput() async throws {
    let result = try await run([
      "/bin/sh", "-c", "\"$0\" help serve | true; echo done", ServedProcess.executable,
    ])
    #expect(result.output == "done\n")
  }
}
