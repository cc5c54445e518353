import Health
import PoolCore

extension ServeSettings {
  /// What `--print-settings` shows: every setting in force with its source, passwords hidden.
  var report: String {
    let rows = SettingsTable.all.map { setting in
      (
        flag: setting.flag, value: shown(setting) ?? "(\(setting.defaultText))",
        source: sourceText(setting.flag)
      )
    }
    let flags = rows.map(\.flag.count).max() ?? 0
    let values = rows.map { min($0.value.count, 40) }.max() ?? 0
    return rows.map { row in
      "\(row.flag.padded(to: flags))  \(row.value.padded(to: values))  \(row.source)\n"
    }.joined()
  }

  /// The same as one JSON object by flag: `{"listen":{"value":":8086","source":"default"},…}`. A setting without a
  /// value is `null`.
  var reportJSON: JSON {
    .object(
      SettingsTable.all.map { setting in
        let value = JSON.string(shown(setting))
        return .init(
          setting.flag, .object([.init("value", value), .init("source", .string(sourceText(setting.flag)))]))
      })
  }

  /// The same for the admin listener's `/status`.
  var details: [AdminDetails.Setting] {
    SettingsTable.all.map {
      .init(name: $0.flag, value: shown($0) ?? "(\($0.defaultText))", source: sourceText($0.flag))
    }
  }

  private func shown(_ setting: Setting) -> String? {
    setting.show(self).map { hidingPasswords(in: $0).escapingControls }
  }

  private func sourceText(_ flag: String) -> String {
    switch source(of: flag) {
    case .standard: "default"
    case .flag: "--\(flag)"
    case .environment(let name): name
    }
  }
}

extension String {
  /// With spaces at its end up to a width; a longer text stays as it is.
  func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
