import Foundation
import PoolCore
import Support
import Testing
import WarmPool

@Suite(.timeLimit(.minutes(5))) struct SettingsExample {
  private func configured(log: (String) -> Void) throws {
    // ----
    var configuration = WarmPool.Configuration(databaseURL: "postgresql://app@db-1,db-2/shop")
    configuration.requireRole = .primary
    configuration.minConnections = 4
    configuration.maxConnections = 2
    do {
      _ = try WarmPool(configuration)
    } catch {
      log("\(error.setting): \(error)")
    }
    // ----
  }

  @Test("settings that contradict each other are refused with the reason")
  func refused() throws {
    var said = ""
    try configured { said = $0 }
    #expect(said == "max-connections: must be at least min-connections (4): the ceiling counts the floor")
  }

  @Test("the article has a row for every setting, with its default")
  func defaults() throws {
    let article = try Documentation.article("Settings")
    func check(_ name: String, _ value: Any) throws {
      let row = try #require(Self.row(name, in: article), "no row for \(name)")
      #expect(row.hasPrefix("| `\(name)` | \(Self.text(value)) |"), "\(name) is \(Self.text(value)): \(row)")
    }
    for (name, value) in Mirror(reflecting: PoolSettings()).children {
      try check(try #require(name), name == "maxWaiting" ? "4 × `maxConnections`" : value)
    }
    for (name, value) in Mirror(reflecting: WarmPool.Configuration()).children where name != "pool" {
      try check(try #require(name), value)
    }
  }

  private static let wrong: [(setting: String, @Sendable (inout WarmPool.Configuration) -> Void)] = [
    ("minConnections", { $0.minConnections = 0 }),
    ("maxConnections", { $0.maxConnections = 1 }),
    ("maxConnections", { $0.maxConnections = 10_001 }),
    ("maxWaiting", { $0.pool.maxWaiting = -1 }),
    ("maxWaiting", { $0.pool.maxWaiting = 1_000_001 }),
    ("acquireTimeout", { $0.pool.acquireTimeout = .zero }),
    ("idleTimeout", { $0.pool.idleTimeout = .milliseconds(999) }),
    ("idleTimeout", { $0.pool.idleTimeout = .seconds(3600) }),
    ("maxLifetime", { $0.pool.maxLifetime = .milliseconds(999) }),
    ("healthCheckInterval", { $0.pool.healthCheckInterval = .milliseconds(999) }),
    ("healthCheckInterval", { $0.pool.healthCheckInterval = .seconds(1800) }),
    ("leakAfter", { $0.pool.leakAfter = .zero }),
    ("probeInterval", { $0.pool.probeInterval = .milliseconds(99) }),
    ("probeTimeout", { $0.pool.probeTimeout = .milliseconds(9) }),
    ("probeTimeout", { $0.pool.probeTimeout = .seconds(6) }),
    ("connectTimeout", { $0.pool.connectTimeout = .milliseconds(99) }),
    ("rise", { $0.pool.rise = 0 }),
    ("fall", { $0.pool.fall = 101 }),
    ("drainDelay", { $0.pool.drainDelay = .seconds(-1) }),
    ("drainTimeout", { $0.pool.drainTimeout = .seconds(4) }),
    ("splay", { $0.pool.splay = .seconds(-1) }),
    ("probeQuery", { $0.probeQuery = " " }),
    ("maxReplayLag", { $0.maxReplayLag = .seconds(1) }),
    (
      "maxReplayLag",
      {
        $0.requireRole = .standby
        $0.maxReplayLag = .zero
      }
    ),
  ]

  @Test("the article gives the bounds and their reasons in the words of the error")
  func bounds() throws {
    let article = try Documentation.article("Settings")
    for (name, spoil) in Self.wrong {
      var configuration = WarmPool.Configuration()
      spoil(&configuration)
      let error = #expect(throws: SettingsError.self) { try WarmPool(configuration) }
      let said = try #require(error)
      #expect(Self.fieldName(said.setting) == name)
      // A reader of the article knows the fields, not the flags, and no values.
      let words = said.description.replacing(/\ \([^)]*\)/, with: "").replacing(/[a-z]+(-[a-z]+)+/) {
        let field = Self.fieldName(String($0.output.0))
        return article.contains("| `\(field)` |") ? field : String($0.output.0)
      }
      let row = try #require(Self.row(name, in: article)).replacing("`", with: "")
      #expect(row.contains(words), "\(words) is not in \(row)")
    }
  }

  private static func row(_ name: String, in article: String) -> String? {
    article.components(separatedBy: "\n").first { $0.hasPrefix("| `\(name)` |") }
  }

  /// `max-connections` as `maxConnections`.
  private static func fieldName(_ flag: String) -> String {
    let words = flag.split(separator: "-")
    return words.dropFirst().reduce(String(words[0])) { $0 + $1.prefix(1).uppercased() + $1.dropFirst() }
  }

  private static func text(_ value: Any) -> String {
    let mirror = Mirror(reflecting: value)
    if mirror.displayStyle == .optional, mirror.children.isEmpty { return "none" }
    switch value {
    case let duration as Duration:
      let seconds = duration.components.seconds
      return seconds >= 60 && seconds % 60 == 0 ? "\(seconds / 60)m" : "\(seconds)s"
    case let text as String where text.contains("4 ×"): return text
    case let text as String: return "`\(text)`"
    default: return "\(value)"
    }
  }
}
