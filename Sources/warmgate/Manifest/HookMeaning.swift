import PoolCore

/// What a preStop hook comes to, as far as it can be told from its words.
enum HookMeaning: Hashable {
  /// Warmgate is drained; the hook returns after this long at the latest.
  case drains(Duration)
  case sleeps(Duration)
  /// A process is ended, after this long.
  case ends(after: Duration)
  case other

  /// `drainTimeout`: that of a drain which does not say its own.
  init(_ hook: Hook, drainTimeout: Duration) {
    switch hook.action {
    case .sleep(let seconds): self = .sleeps(.seconds(seconds))
    case .http(let path): self = Self(path: path, drainTimeout: drainTimeout)
    case .exec(let words): self = Self(words.map(\.value), drainTimeout: drainTimeout)
    case .other: self = .other
    }
  }

  private init(path: String, drainTimeout: Duration) {
    let parts = path.split(separator: "?", maxSplits: 1)
    let query = parts.count > 1 ? parts[1].split(separator: "&") : []
    switch parts.first {
    case "/quit": self = .ends(after: .zero)
    case "/drain" where query.contains("wait=0"): self = .drains(.zero)
    case "/drain":
      let own = query.first { $0.hasPrefix("timeout=") }.flatMap { Duration(text: $0.dropFirst(8)) }
      self = .drains(own ?? drainTimeout)
    default: self = .other
    }
  }

  /// Of a command, or of a line for a shell.
  private init(_ words: [String], drainTimeout: Duration) {
    let words = words.flatMap { $0.split { $0.isWhitespace || ";&|()".contains($0) } }
    let programs = words.map { $0.split(separator: "/").last ?? $0 }
    if let place = programs.indices.first(where: {
      programs[$0] == "warmgate" && programs.dropFirst($0 + 1).first == "drain"
    }) {
      let rest = words[(place + 2)...]
      self = .drains(rest.contains("--no-wait") ? .zero : Self.timeout(in: Array(rest)) ?? drainTimeout)
      return
    }
    let sleeps = zip(programs, words.dropFirst()).filter { $0.0 == "sleep" }.map { Self.seconds($0.1) }
    let time = sleeps.reduce(.zero, +)
    let isQuit = words.contains { $0.hasSuffix("/quit") || $0.contains("/quit?") }
    if isQuit || programs.contains(where: { ["kill", "pkill", "killall"].contains($0) }) {
      self = .ends(after: time)
    } else {
      self = sleeps.isEmpty ? .other : .sleeps(time)
    }
  }

  private static func timeout(in words: [Substring]) -> Duration? {
    for (index, word) in words.enumerated() where word.hasPrefix("--timeout") {
      if word == "--timeout" { return words.dropFirst(index + 1).first.flatMap { Duration(text: $0) } }
      if word.hasPrefix("--timeout=") { return Duration(text: word.dropFirst(10)) }
    }
    return nil
  }

  /// As coreutils' sleep takes it: `10`, `0.5`, `2m`.
  private static func seconds(_ text: Substring) -> Duration {
    let units: [Character: Double] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
    let unit = text.last.flatMap { units[$0] }
    guard let number = Double(unit == nil ? text : text.dropLast()), (0...1e6).contains(number) else {
      return .zero
    }
    return .milliseconds(Int64(number * (unit ?? 1) * 1000))
  }
}
