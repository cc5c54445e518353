import PoolCore

/// A line of a scenario's file that is not understood, and what would be.
public struct ScenarioError: Error, Hashable, Sendable, CustomStringConvertible {
  /// From 1; 0 if it is about the file as a whole.
  public let line: Int
  /// What is wrong, and what is accepted.
  public let why: String

  public var description: String { line == 0 ? why : "line \(line): \(why)" }
}

extension Scenario {
  /// What a file of one's own may hold, for people.
  public static let forms = [
    "at 0s warm SHARE", "at TIME start SHARE", "at TIME roll SHARE",
    "at TIME outage DURATION [starting DURATION]", "at TIME restart DURATION [starting DURATION]",
    "at TIME occupy SHARE for DURATION", "at TIME slow NUMBERx for DURATION",
    "at TIME partition SHARE for DURATION",
  ]

  /// A guard against a slip of the hand: virtual time costs real time.
  static let longest: Duration = .seconds(24 * 3600)
  static let mostParts = 1000

  /// Reads a scenario: a line for each thing that happens, `#` before a comment. Throws for the first line that is not
  /// understood.
  public init(name: String, text: String) throws(ScenarioError) {
    var parts: [Part] = []
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let words = line.prefix { $0 != "#" }.split { $0 == " " || $0 == "\t" || $0 == "\r" || $0 == "\r\n" }
      if words.isEmpty { continue }
      var reader = LineReader(line: index + 1, words: words[...])
      parts.append(try reader.part())
      if parts.count > Self.mostParts {
        throw ScenarioError(line: index + 1, why: "give at most \(Self.mostParts) lines that do something")
      }
    }
    let hasInstances = parts.contains {
      switch $0.what {
      case .warm, .start: true
      default: false
      }
    }
    guard hasInstances else {
      throw ScenarioError(
        line: 0, why: "no instance is ever there: begin with \"at 0s warm all\" or \"at 0s start all\"")
    }
    self.init(name: name, summary: "as the file says", parts: parts)
  }
}

/// The words of one line.
private struct LineReader {
  let line: Int
  var words: ArraySlice<Substring>

  private func error(_ why: String) -> ScenarioError { ScenarioError(line: line, why: why) }

  private static let happenings = [
    "warm", "start", "roll", "outage", "restart", "occupy", "slow", "partition",
  ]

  mutating func part() throws(ScenarioError) -> Scenario.Part {
    try expect("at")
    let at = try duration("a time such as 10s after \"at\"", mayBeZero: true)
    let name = words.popFirst().map(String.init)
    let what: Happening
    switch name {
    case "warm":
      guard at == .zero else { throw error("warm is before the story begins: give \"at 0s warm\"") }
      what = .warm(try share())
    case "start": what = .start(try share())
    case "roll": what = .roll(try share())
    case "outage": what = .outage(try length(), starting: try starting())
    case "restart": what = .restart(try length(), starting: try starting())
    case "occupy": what = .occupy(try share(), for: try time())
    case "slow": what = .slow(try factor(), for: try time())
    case "partition": what = .partition(try share(), for: try time())
    default:
      let list = Self.happenings.dropLast().joined(separator: ", ") + " or " + (Self.happenings.last ?? "")
      throw error("\(quoted(name)) after the time: give \(list)")
    }
    if let more = words.first { throw error("\(quoted(String(more))) is one word too many") }
    return Scenario.Part(at: at, what)
  }

  private func quoted(_ word: String?) -> String {
    guard let word else { return "nothing" }
    return "\"\(word.count > 40 ? word.prefix(39) + "…" : word[...])\""
  }

  private mutating func expect(_ word: String) throws(ScenarioError) {
    let found = words.popFirst().map(String.init)
    if found != word { throw error("\(quoted(found)): give \"\(word)\" there") }
  }

  private mutating func length() throws(ScenarioError) -> Duration { try duration("a duration such as 30s") }

  private mutating func starting() throws(ScenarioError) -> Duration {
    if words.isEmpty { return .zero }
    try expect("starting")
    return try length()
  }

  private mutating func time() throws(ScenarioError) -> Duration {
    try expect("for")
    return try length()
  }

  private mutating func share() throws(ScenarioError) -> Share {
    let word = words.popFirst().map(String.init)
    if word == "all" { return .all }
    let isPercent = word?.hasSuffix("%") == true
    guard let word, let number = count(isPercent ? String(word.dropLast()) : word),
      (1...(isPercent ? 100 : 1_000_000)).contains(number)
    else { throw error("\(quoted(word)): give a number such as 40, a share such as 25%, or all") }
    return isPercent ? .percent(number) : .count(number)
  }

  private mutating func factor() throws(ScenarioError) -> Double {
    let word = words.popFirst().map(String.init)
    guard let word, word.hasSuffix("x"), let number = count(String(word.dropLast())),
      (2...1000).contains(number)
    else { throw error("\(quoted(word)): give how many times slower, 2x to 1000x") }
    return Double(number)
  }

  /// Digits alone: `Int` would take a sign.
  private func count(_ text: String) -> Int? {
    text.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(text) : nil
  }

  private mutating func duration(_ what: String, mayBeZero: Bool = false) throws(ScenarioError) -> Duration {
    let word = words.popFirst().map(String.init)
    guard let word, let duration = Duration(text: word), duration > .zero || mayBeZero else {
      throw error("\(quoted(word)): give \(what)")
    }
    guard duration <= Scenario.longest else { throw error("\(quoted(word)): give at most 24h") }
    return duration
  }
}
