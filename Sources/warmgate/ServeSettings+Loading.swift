extension ServeSettings {
  /// The settings that flags and environment give, and warnings about variables that nobody reads.
  ///
  /// A flag wins over its variable, which is not even read then. An empty variable counts as absent: manifests
  /// often carry one. Does not look at files; see `checkFiles`.
  static func load(
    _ arguments: Arguments, environment: [String: String]
  ) throws(UsageError) -> (settings: ServeSettings, warnings: [String]) {
    var settings = ServeSettings()
    for setting in SettingsTable.all {
      if let text = arguments.value(setting.flag) {
        try settings.read(text, as: setting, from: .flag)
      } else if let (name, text) = variable(of: setting, in: environment) {
        try settings.read(text, as: setting, from: .environment(name))
      }
    }
    try settings.validate()
    return (settings, unknownVariables(in: environment).map(\.warning))
  }

  private static func variable(
    of setting: Setting, in environment: [String: String]
  ) -> (name: String, text: String)? {
    for name in setting.variables {
      if let text = environment[name], !text.isEmpty { return (name, text) }
    }
    return nil
  }

  private mutating func read(_ text: String, as setting: Setting, from source: Source) throws(UsageError) {
    sources[setting.flag] = source
    do {
      try setting.store(text, &self)
    } catch {
      throw refusal(of: setting.flag, value: text, error.why)
    }
  }

  /// The error line about a setting, under the name by which it was given.
  func refusal(of flag: String, value: String? = nil, _ why: String) -> UsageError {
    let setting = SettingsTable.setting(flag)
    let name = name(of: flag)
    guard let value = value ?? setting?.show(self), setting?.isSecret != true else {
      return UsageError("\(name): \(why)")
    }
    let note = source(of: flag) == .standard ? " (the default)" : ""
    return UsageError("\(name) \(value.quoted)\(note): \(why)")
  }

  /// By which it was given: its variable's, or the flag.
  func name(of flag: String) -> String {
    switch source(of: flag) {
    case .environment(let variable): variable
    case .flag, .standard: "--\(flag)"
    }
  }

  /// Variables that begin like ours and are none. Only a warning: for a Service called "warmgate", Kubernetes
  /// puts WARMGATE_PORT and others into every pod. Their values are not shown.
  static func unknownVariables(in environment: [String: String]) -> [(name: String, warning: String)] {
    let known = Set(SettingsTable.all.map(\.variable))
    return environment.keys.filter { $0.hasPrefix(Setting.variablePrefix) && !known.contains($0) }.sorted()
      .map { name in
        let rest = name.dropFirst(Setting.variablePrefix.count)
        let flag = nearest(
          to: rest.lowercased().replacing("_", with: "-"), among: SettingsTable.all.map(\.flag))
        let meant = flag.flatMap(SettingsTable.setting).map { "; did you mean \($0.variable)?" } ?? ""
        return (name, "\(name.quoted) is not a setting and is ignored\(meant)")
      }
  }
}
