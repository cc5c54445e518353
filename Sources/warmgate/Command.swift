import Health
import Postgres

/// A command of the program: what help says of it, and what it does.
struct Command: Sendable {
  struct Option: Sendable {
    let name: String
    /// Nil: it takes no value.
    var placeholder: String?
    let meaning: String
    /// `-f`, say.
    var letter: Character?

    /// As help writes it.
    var usage: String {
      (letter.map { "-\($0), " } ?? "") + "--\(name)" + (placeholder.map { " \($0)" } ?? "")
    }
  }

  /// What a command was called with.
  struct Invocation: Sendable {
    let command: Command
    let arguments: Arguments
    let environment: [String: String]
    let console: Console
  }

  let name: String
  /// For help, such as `live|ready|startup`.
  var operands = ""
  /// One line, as in the list of commands.
  let summary: String
  /// Further sentences for `help COMMAND`.
  var details = ""
  /// Lines of a file that it reads, each in its own form.
  var fileLines: [String] = []
  /// It takes the settings of `serve` as options, and reads their variables.
  var takesSettings = false
  var options: [Option] = []
  let exits: [(code: Int32, meaning: String)]
  /// Gives the exit code.
  let run: @Sendable (Invocation) throws(UsageError) -> Int32

  static let all: [Command] = [serve, wait, probe, drain, resume, check, plan, simulate, copy, version, help]

  var forms: [Arguments.Form] {
    let settings =
      takesSettings ? SettingsTable.all.map(\.form) : []
    let own = options.map {
      Arguments.Form(name: $0.name, takesValue: $0.placeholder != nil, letter: $0.letter)
    }
    return settings + own + [Arguments.Form(name: "help", takesValue: false)]
  }
}

extension Command.Invocation {
  /// The value of an option; nil if it was not given.
  func value<Value>(_ option: String, as kind: ValueKind<Value>) throws(UsageError) -> Value? {
    guard let text = arguments.value(option) else { return nil }
    do throws(NotAccepted) {
      return try kind.read(text)
    } catch {
      throw UsageError("--\(option) \(text.quoted): \(error.why)")
    }
  }

  func duration(_ option: String) throws(UsageError) -> Duration? { try value(option, as: .duration) }

  /// The settings of `serve`, for a command that starts none: what is odd about them is said at once.
  func settings() throws(UsageError) -> ServeSettings {
    let (settings, warnings) = try ServeSettings.load(arguments, environment: environment)
    for warning in warnings { console.complain("warning: \(warning)") }
    return settings
  }

  /// Where such a command connects.
  func database(_ settings: ServeSettings) throws(UsageError) -> Database {
    let name = InstanceName.make(base: settings.applicationName, environment: environment)
    let database = try settings.database(applicationName: name)
    try settings.checkFiles()
    return database
  }

  /// Throws unless there are at most `count` operands.
  func expectOperands(atMost count: Int) throws(UsageError) {
    if arguments.operands.count > count {
      throw UsageError(
        "unexpected argument \(arguments.operands[count].quoted); \"warmgate help \(command.name)\" shows the usage"
      )
    }
  }

  func client(_ listener: SidecarAddress.Listener) throws(UsageError) -> HTTPClient {
    HTTPClient(
      address: try .find(listener, arguments: arguments, environment: environment),
      hidesName: listener == .admin)
  }
}

extension Command.Option {
  static let json = Self(name: "json", meaning: "the answer as one JSON object")

  static func url(_ listener: SidecarAddress.Listener) -> Self {
    let variable = listener == .health ? "WARMGATE_LISTEN" : "WARMGATE_ADMIN_LISTEN"
    let standard = listener == .health ? "127.0.0.1:8086" : "127.0.0.1:8087"
    return Self(
      name: "url", placeholder: "URL",
      meaning: "http://HOST:PORT or unix:/path (default: what \(variable) says, else \(standard))")
  }

  static let tokenFile = Self(
    name: "token-file", placeholder: "FILE",
    meaning: "the admin token (default: what WARMGATE_ADMIN_TOKEN_FILE says)")
}
