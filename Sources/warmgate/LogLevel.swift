/// How much a line matters (`--log-level`).
enum LogLevel: String, Hashable, Sendable, CaseIterable, Comparable {
  case error, warn, info, debug

  static func < (a: Self, b: Self) -> Bool { a.order < b.order }

  private var order: Int {
    switch self {
    case .debug: 0
    case .info: 1
    case .warn: 2
    case .error: 3
    }
  }
}

/// The form of a line (`--log-format`).
enum LogFormat: String, Hashable, Sendable, CaseIterable {
  case text, json
}
