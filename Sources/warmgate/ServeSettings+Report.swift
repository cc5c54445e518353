import Health
import Postgres

extension ServeSettings {
  /// Every setting in force as it may be shown, with passwords hidden. A setting without a value has its default's
  /// description in parentheses; the source is `default`, `flag`, or the variable's name. Also for
  /// the admin listener's `/status`.
  var details: [AdminDetails.Setting] {
    SettingsTable.all.map { setting in
      AdminDetails.Setting(
        name: setting.flag, value: value(of: setting) ?? "(\(setting.defaultText))",
        source: sourceText(setting.flag))
    }
  }

  /// What `--print-settings` shows.
  var report: String {
    let rows = details
    let names = rows.map(\.name.count).max() ?? 0
    let values = rows.map { min($0.value.count, 40) }.max() ?? 0
    return rows.map { row in
      "\(row.name.padded(to: names))  \(row.value.padded(to: values))  \(row.source)\n"
    }.joined()
  }

  /// The same as one JSON object by flag: `{"listen":{"value":":8086","source":"default"},…}`. A setting without a
  /// value is `null`.
  var reportJSON: JSON {
    .object(
      SettingsTable.all.map { setting in
        let value = JSON.string(value(of: setting))
        let source = JSON.string(sourceText(setting.flag))
        return .init(setting.flag, .object([.init("value", value), .init("source", source)]))
      })
  }

  private func value(of setting: Setting) -> String? {
    guard let text = setting.show(self) else { return nil }
    if setting.isSecret, !isDatabaseUnderstood { return "*** (not accepted: --check-settings says why)" }
    return hidingPasswords(in: text).escapingControls
  }

  /// What libpq does not understand may hold the password anywhere.
  private var isDatabaseUnderstood: Bool {
    (try? Database(url: databaseURL, applicationName: applicationName)) != nil
  }

  private func sourceText(_ flag: String) -> String {
    switch source(of: flag) {
    case .standard: "default"
    case .flag: "flag"
    case .environment(let name): name
    }
  }
}

extension String {
  /// With spaces at its end up to a width; a longer text stays as it is.
  func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
