import PoolCore
import Testing

@testable import warmgate

private func load(_ words: [String], _ environment: [String: String] = [:]) throws(UsageError)
  -> ServeSettings
{
  let arguments = try Arguments(words, accepting: Command.serve.forms, command: "serve")
  return try ServeSettings.load(arguments, environment: environment).settings
}

private func refusal(_ words: [String], _ environment: [String: String] = [:]) -> String? {
  do {
    _ = try load(words, environment)
    return nil
  } catch { return error.description }
}

@Suite struct SettingsTests {
  @Test("the defaults are those that are documented")
  func defaults() throws {
    let settings = try load([])
    let texts = Dictionary(uniqueKeysWithValues: settings.details.map { ($0.name, $0.value) })
    #expect(
      texts == [
        "database-url": "(DATABASE_URL, else libpq's PG* variables)", "password-file": "(none)",
        "listen": ":8086", "admin-listen": "127.0.0.1:8087", "admin-token-file": "(none)",
        "agent-listen": "(off)", "agent-degraded-weight": "100", "grpc-listen": "(off)",
        "min-connections": "2", "max-connections": "10", "acquire-timeout": "2s",
        "max-waiting": "(4 × max-connections)", "idle-timeout": "5m", "max-lifetime": "30m",
        "health-check-interval": "30s", "connect-timeout": "5s", "leak-after": "30s",
        "elastic-min": "false", "fleet-tickets": "0", "hold-for-app": "0", "probers-must-see": "3",
        "tickets-database": "(its own)",
        "app-name-prefix": "(none, by client address)",
        "probe-query": "SELECT 1",
        "probe-expect": "(anything)", "probe-interval": "5s", "probe-timeout": "1s", "rise": "1", "fall": "2",
        "require-role": "any", "max-replay-lag": "(no limit)", "when-database-lost": "unready",
        "drain-delay": "5s", "drain-timeout": "25s", "drain-marker": "(none)", "splay": "0s",
        "application-name": "warmgate", "log-format": "(text on a terminal, else json)", "log-level": "info",
      ])
    #expect(settings.details.allSatisfy { $0.source == "default" })
  }

  /// A value for each setting that is not its default, so that a mix-up of two rows shows.
  static let samples = [
    "database-url": "postgres://app@db/orders", "password-file": "/run/password", "listen": "127.0.0.1:1",
    "admin-listen": "unix:/run/admin.sock", "admin-token-file": "/run/token", "min-connections": "3",
    "agent-listen": "127.0.0.1:2", "agent-degraded-weight": "50", "grpc-listen": "unix:/run/grpc.sock",
    "max-connections": "11", "acquire-timeout": "2500ms", "max-waiting": "7", "idle-timeout": "6m",
    "max-lifetime": "2h", "health-check-interval": "31s", "connect-timeout": "7s", "leak-after": "32s",
    "elastic-min": "true", "fleet-tickets": "3", "hold-for-app": "8", "probers-must-see": "2",
    "tickets-database": "fleet",
    "app-name-prefix": "orders-",
    "probe-query": "select 2", "probe-expect": "2", "probe-interval": "9s", "probe-timeout": "3s",
    "rise": "4",
    "fall": "5", "require-role": "standby", "max-replay-lag": "10s", "when-database-lost": "hold=3s",
    "drain-delay": "8s", "drain-timeout": "26s", "drain-marker": "/run/drained", "splay": "12s",
    "application-name": "orders", "log-format": "json", "log-level": "debug",
  ]

  @Test("every setting can be given by flag and by variable, and is shown as it was given, with its source")
  func bothWays() throws {
    #expect(Set(Self.samples.keys) == Set(SettingsTable.all.map(\.flag)))
    let flags = Self.samples.flatMap { ["--\($0.key)", $0.value] }
    let variables = SettingsTable.all.map { ($0.variable, Self.samples[$0.flag] ?? "") }
    let byFlag = try load(flags)
    let byVariable = try load([], Dictionary(uniqueKeysWithValues: variables))
    for detail in byFlag.details {
      #expect(detail.value == Self.samples[detail.name], "\(detail.name)")
      #expect(detail.source == "flag")
    }
    for detail in byVariable.details {
      #expect(detail.value == Self.samples[detail.name], "\(detail.name)")
      #expect(detail.source == SettingsTable.setting(detail.name)?.variable)
    }
    #expect(SettingsTable.setting("probe-query")?.variable == "WARMGATE_PROBE_QUERY")
  }

  @Test("a flag wins over its variable, which may then be wrong; an empty variable counts as absent")
  func precedence() throws {
    let settings = try load(["--rise", "3"], ["WARMGATE_RISE": "many", "WARMGATE_FALL": ""])
    #expect(settings.pool.rise == 3)
    #expect(settings.source(of: "rise") == .flag)
    #expect(settings.pool.fall == 2)
    #expect(settings.source(of: "fall") == .standard)
  }

  @Test("the database URL comes from the flag, WARMGATE_DATABASE_URL or DATABASE_URL, in this order")
  func databaseURL() throws {
    let environment = ["WARMGATE_DATABASE_URL": "host=b", "DATABASE_URL": "host=c"]
    #expect(try load(["--database-url", "host=a"], environment).databaseURL == "host=a")
    #expect(try load([], environment).databaseURL == "host=b")
    let last = try load([], ["DATABASE_URL": "host=c"])
    #expect(last.databaseURL == "host=c")
    #expect(last.source(of: "database-url") == .environment("DATABASE_URL"))
    #expect(try load([]).databaseURL == nil)
  }

  @Test(
    "durations are whole numbers with a unit",
    arguments: [
      ("250ms", Duration.milliseconds(250)), ("5s", .seconds(5)), ("2m", .seconds(120)),
      ("1h", .seconds(3600)),
      ("0s", .zero), ("0", .zero), ("8760h", .seconds(8760 * 3600)), ("007s", .seconds(7)),
    ])
  func durations(text: String, duration: Duration) throws {
    #expect(try ValueKind<Duration>.duration.read(text) == duration)
    let again = ValueKind<Duration>.duration.write(duration)
    #expect(try ValueKind<Duration>.duration.read(again) == duration)
  }

  @Test(
    "anything else is not taken for a duration",
    arguments: [
      "", "5", "s", "-5s", "+5s", "1.5s", "5 s", " 5s", "5s ", "5S", "5sec", "1h30m", "1e3s", "0x5s", "٥s",
      "5d",
      "99999999999999999999s", "9223372036854775807h", "8761h", "nan", "inf",
    ])
  func notDurations(text: String) {
    #expect(throws: NotAccepted.self) { try ValueKind<Duration>.duration.read(text) }
  }

  @Test("a duration is shown in the largest unit that fits it")
  func durationTexts() {
    let texts: [(Duration, String)] = [
      (.seconds(90), "90s"), (.seconds(120), "2m"), (.seconds(7200), "2h"), (.milliseconds(1500), "1500ms"),
      (.zero, "0s"), (.seconds(3601), "3601s"),
    ]
    for (duration, text) in texts { #expect(duration.settingText == text) }
  }

  @Test(
    "a bad value is one line that names the option, the value and what is accepted",
    arguments: [
      (
        ["--probe-interval", "5"],
        "--probe-interval \"5\": give a whole number and a unit, such as 250ms, 5s, 2m or 1h"
      ),
      (
        ["--probe-interval=-5s"],
        "--probe-interval \"-5s\": give a whole number and a unit, such as 250ms, 5s, 2m or 1h"
      ),
      (["--max-lifetime", "9000h"], "--max-lifetime \"9000h\": give at most 8760h, a year"),
      (["--min-connections", "two"], "--min-connections \"two\": give a whole number that is not negative"),
      (["--min-connections", "-1"], "--min-connections \"-1\": give a whole number that is not negative"),
      (
        ["--rise", "99999999999999999999"],
        "--rise \"99999999999999999999\": give a whole number that is not negative"
      ),
      (["--rise="], "--rise \"\": give a whole number that is not negative"),
      (
        ["--require-role", "primry"],
        "--require-role \"primry\": give any, primary or standby; did you mean primary?"
      ),
      (["--log-level", "verbose"], "--log-level \"verbose\": give error, warn, info or debug"),
      (
        ["--when-database-lost", "hold"],
        "--when-database-lost \"hold\": give unready, hold=DURATION such as hold=30s, or stay"
      ),
      (
        ["--when-database-lost", "hold=3"],
        "--when-database-lost \"hold=3\": after hold=, give a whole number and a unit, such as 250ms, 5s, 2m or 1h"
      ),
      (["--listen", "8086"], "--listen \"8086\": has no port; write it as 127.0.0.1:8086 or [::1]:8086"),
      (
        ["--listen", "db:8086"],
        "--listen \"db:8086\": \"db\" is not an IP address; names are not looked up here"
      ),
      (
        ["--listen", "127.0.0.1:70000"],
        "--listen \"127.0.0.1:70000\": has no port between 0 and 65535 after its last colon"
      ),
      (
        ["--admin-listen", "unix:admin.sock"],
        "--admin-listen \"unix:admin.sock\": needs an absolute path, such as unix:/run/warmgate/admin.sock"
      ),
      (["--password-file", ""], "--password-file \"\": give the path of a file"),
      (["--probe-query", " "], "--probe-query \" \": give a query"),
      (
        ["--application-name", "a b"],
        "--application-name \"a b\": give 1 to 32 printable ASCII characters without space and /"
      ),
      (
        ["--application-name", "größe"],
        "--application-name \"größe\": give 1 to 32 printable ASCII characters without space and /"
      ),
      (["--database-url", ""], "--database-url: give a connection URI or keyword string"),
    ])
  func badValues(words: [String], text: String) {
    #expect(refusal(words) == text)
  }

  @Test("a bad value from the environment is named by its variable")
  func badVariables() {
    #expect(
      refusal([], ["WARMGATE_PROBE_TIMEOUT": "soon"])
        == "WARMGATE_PROBE_TIMEOUT \"soon\": give a whole number and a unit, such as 250ms, 5s, 2m or 1h")
    #expect(
      refusal(["--min-connections", "3"], ["WARMGATE_MAX_CONNECTIONS": "1"])
        == "WARMGATE_MAX_CONNECTIONS \"1\": must be at least min-connections (3): the ceiling counts the floor"
    )
  }

  @Test(
    "settings that do not fit each other are refused, by the name of the one to change",
    arguments: [
      (
        ["--min-connections", "20"],
        "--max-connections \"10\" (the default): must be at least min-connections (20): the ceiling counts the floor"
      ),
      (
        ["--min-connections", "0"],
        "--min-connections \"0\": must be at least 1: the probe needs a connection"
      ),
      (
        ["--probe-timeout", "6s"],
        "--probe-timeout \"6s\": must not be longer than probe-interval, or probes would overlap"
      ),
      (
        ["--drain-timeout", "4s"],
        "--drain-timeout \"4s\": must be at least drain-delay: it includes the delay"
      ),
      (
        ["--max-replay-lag", "3s"], "--max-replay-lag \"3s\": only a standby lags; add --require-role standby"
      ),
      (
        ["--max-replay-lag", "3s", "--require-role", "primary"],
        "--max-replay-lag \"3s\": only a standby lags; add --require-role standby"
      ),
      (
        ["--admin-listen", "0.0.0.0:8087"],
        "--admin-listen \"0.0.0.0:8087\": anybody could drain this instance there; add --admin-token-file, or use 127.0.0.1 or unix:/path"
      ),
      (
        ["--listen", "127.0.0.1:8087"],
        "--admin-listen \"127.0.0.1:8087\" (the default): is the address of --listen as well; choose another"
      ),
      (
        ["--agent-listen", ":8088", "--grpc-listen", ":8088"],
        "--grpc-listen \":8088\": is the address of --agent-listen as well; choose another"
      ),
    ])
  func combinations(words: [String], text: String) {
    #expect(refusal(words) == text)
  }

  @Test("no error and no report shows a password")
  func noPasswords() throws {
    let url = "postgres://app:s3cret@db/orders?sslpassword=s3cret"
    let shown = try load(["--database-url", url])
    #expect(!shown.report.contains("s3cret"))
    #expect(!shown.reportJSON.text.contains("s3cret"))
    #expect(shown.report.contains("postgres://app:***@db/orders?sslpassword=***"))
    let byKeyword = try load([], ["DATABASE_URL": "host=db password='s3cret'"])
    #expect(!byKeyword.report.contains("s3cret"))
    for setting in SettingsTable.all {
      for text in [url, "host=db password=s3cret"] {
        let words = setting.flag == "admin-listen" ? [] : ["--admin-listen", "unix:/run/a.sock"]
        if let line = refusal(words + ["--\(setting.flag)", text]) {
          #expect(!line.contains("s3cret"), "\(line)")
          #expect(!line.contains("\n"))
        }
      }
    }
  }

  @Test("a variable that nobody reads is warned about, by name only, with the spelling that was meant")
  func unknownVariables() throws {
    let arguments = try Arguments([], accepting: [], command: "serve")
    let (_, warnings) = try ServeSettings.load(
      arguments,
      environment: [
        "WARMGATE_PORT": "tcp://10.0.0.1:8086", "WARMGATE_PROBE_INTERVALL": "1s", "WARMGATE_RISE": "2",
        "PATH": "/bin",
      ])
    #expect(
      warnings == [
        "\"WARMGATE_PORT\" is not a setting and is ignored",
        "\"WARMGATE_PROBE_INTERVALL\" is not a setting and is ignored; did you mean WARMGATE_PROBE_INTERVAL?",
      ])
  }

  @Test("--print-settings as JSON is one object by flag, with null for what is not set")
  func reportJSON() throws {
    let text = try load(["--rise", "3"], ["WARMGATE_FALL": "4"]).reportJSON.text
    #expect(text.contains("\"rise\":{\"value\":\"3\",\"source\":\"flag\"}"))
    #expect(text.contains("\"fall\":{\"value\":\"4\",\"source\":\"WARMGATE_FALL\"}"))
    #expect(text.contains("\"probe-expect\":{\"value\":null,\"source\":\"default\"}"))
  }
}

@Suite struct InstanceNameTests {
  @Test("a name is the base, the tail of the host's name and an id, in 63 bytes of printable ASCII")
  func names() {
    #expect(
      InstanceName.make(base: "warmgate", hostname: "pay-7c9f-xk2lp", id: "04be1f")
        == "warmgate/pay-7c9f-xk2lp-04be1f")
    #expect(InstanceName.make(base: "foo", hostname: "", id: "04be1f") == "foo/04be1f")
    let long = InstanceName.make(
      base: "warmgate", hostname: String(repeating: "x", count: 300) + "-tail", id: "04be1f")
    #expect(long.utf8.count == 63)
    #expect(long.hasSuffix("x-tail-04be1f"))
    let base = String(repeating: "b", count: InstanceName.longestBase)
    #expect(
      InstanceName.make(base: base, hostname: "some-long-host-name-tail", id: "04be1f").utf8.count == 63)
  }

  @Test("a hostile host name cannot leave printable ASCII or look like another instance")
  func hostile() {
    let name = InstanceName.make(base: "warmgate", hostname: "a/b\n\u{1B}[31m é\u{0}';--", id: "04be1f")
    #expect(name.utf8.allSatisfy { (0x21...0x7E).contains($0) })
    #expect(name.filter { $0 == "/" }.count == 1)
  }

  @Test("each process has another id")
  func ids() {
    let names = Set(
      (0..<20).map { _ in InstanceName.make(base: "warmgate", environment: ["HOSTNAME": "pod"]) })
    #expect(names.count > 15)
    #expect(
      names.allSatisfy { $0.hasPrefix("warmgate/pod-") && $0.utf8.count == "warmgate/pod-".utf8.count + 6 })
  }
}
