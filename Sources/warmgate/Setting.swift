/// One row of the settings table: everything there is to know about a setting of `serve`. Parsing, help,
/// `--print-settings` and the README's table are made of it.
struct Setting: Sendable {
  /// Without its dashes.
  let flag: String
  let group: Group
  /// Stands for the value in help; empty for a switch, which is given without one.
  let placeholder: String
  /// For help, where the default is not a plain value.
  let defaultText: String
  let meaning: String
  /// Its value is shown with passwords hidden, and never in an error.
  let isSecret: Bool
  /// Reads a text into the settings.
  let store: @Sendable (String, inout ServeSettings) throws(NotAccepted) -> Void
  /// The value in force as text, nil if there is none.
  let show: @Sendable (ServeSettings) -> String?

  enum Group: String, Hashable, Sendable, CaseIterable {
    case database = "Database"
    case addresses = "Addresses"
    case pool = "Pool"
    case readiness = "Probe and readiness"
    case drain = "Drain"
    case identity = "Identity and logs"
  }

  /// As it is written in help.
  var usage: String { placeholder.isEmpty ? "--\(flag)" : "--\(flag) \(placeholder)" }

  var form: Arguments.Form {
    Arguments.Form(name: flag, takesValue: !placeholder.isEmpty, alone: placeholder.isEmpty ? "true" : nil)
  }

  /// `WARMGATE_` and the flag in capitals.
  var variable: String { Self.variablePrefix + flag.uppercased().replacing("-", with: "_") }

  /// Where it is looked for: after our own, the name that most platforms give the database's URL.
  var variables: [String] { flag == "database-url" ? [variable, "DATABASE_URL"] : [variable] }

  static let variablePrefix = "WARMGATE_"

  /// A setting that always has a value. Its default is whatever `ServeSettings()` holds.
  init<Value>(
    _ flag: String, _ group: Group, _ kind: ValueKind<Value>,
    _ path: any WritableKeyPath<ServeSettings, Value> & Sendable, defaultText: String? = nil,
    _ meaning: String
  ) {
    self.flag = flag
    self.group = group
    placeholder = kind.placeholder
    self.defaultText = defaultText ?? kind.write(ServeSettings()[keyPath: path])
    self.meaning = meaning
    isSecret = false
    store = { text, settings throws(NotAccepted) in settings[keyPath: path] = try kind.read(text) }
    show = { kind.write($0[keyPath: path]) }
  }

  /// A setting that may be left out; `unset` says what then.
  init<Value>(
    optional flag: String, _ group: Group, _ kind: ValueKind<Value>,
    _ path: any WritableKeyPath<ServeSettings, Value?> & Sendable, unset: String, isSecret: Bool = false,
    _ meaning: String
  ) {
    self.flag = flag
    self.group = group
    placeholder = kind.placeholder
    defaultText = unset
    self.meaning = meaning
    self.isSecret = isSecret
    store = { text, settings throws(NotAccepted) in settings[keyPath: path] = try kind.read(text) }
    show = { $0[keyPath: path].map(kind.write) }
  }
}
