@preconcurrency import Glibc

/// The program: from its command line to its exit code.
enum Warmgate {
  static let version = "0.1.0"

  /// Runs the command that `words` name; the first of them is the program's own name.
  static func run(
    _ words: [String], environment: [String: String], console: Console = Console()
  ) -> Int32 {
    do {
      return try dispatch(Array(words.dropFirst()), environment: environment, console: console)
    } catch {
      console.complain(error.description)
      return UsageError.exitCode
    }
  }

  private static func dispatch(
    _ words: [String], environment: [String: String], console: Console
  ) throws(UsageError) -> Int32 {
    guard let first = words.first else {
      throw UsageError("give a command: \(Command.all.map(\.name).joined(separator: ", "))")
    }
    let name =
      switch first {
      case "--help", "-h": "help"
      case "--version", "-V": "version"
      default: first
      }
    let command = try find(name)
    let arguments = try Arguments(words.dropFirst(), accepting: command.forms, command: command.name)
    if arguments.has("help"), command.name != "help" {
      console.print(Help.text(for: command))
      return 0
    }
    return try command.run(
      .init(command: command, arguments: arguments, environment: environment, console: console))
  }

  static func find(_ name: String) throws(UsageError) -> Command {
    if let command = Command.all.first(where: { $0.name == name }) { return command }
    if name.hasPrefix("-") {
      throw UsageError("give a command before the option \(String(name.prefix { $0 != "=" }).quoted)")
    }
    let meant = nearest(to: name, among: Command.all.map(\.name)).map { ": did you mean \($0)?" }
    throw UsageError("unknown command \(name.quoted)\(meant ?? "; \"warmgate help\" lists what there is")")
  }

  /// The process's environment. Of a variable that is there twice, the first counts, as for getenv.
  static func environment() -> [String: String] {
    var variables: [String: String] = [:]
    // Read once, before there is a second thread that could change it.
    var next = environ
    while let entry = next.pointee {
      let text = String(cString: entry)
      if let equals = text.firstIndex(of: "=") {
        let name = String(text[..<equals])
        if variables[name] == nil { variables[name] = String(text[text.index(after: equals)...]) }
      }
      next += 1
    }
    return variables
  }
}
