/// A value of a YAML text, with the line it is on. Aliases and merge keys are resolved.
package struct Node: Sendable {
  package enum Content: Sendable {
    case scalar(Scalar)
    case sequence([Node])
    case mapping([Member])
  }

  /// A key and its value.
  package struct Member: Sendable {
    package let key: String
    /// The key's.
    package let line: Int
    package let value: Node
  }

  package let content: Content
  /// From 1: where it begins.
  package let line: Int

  /// Of the key, in a mapping.
  package func member(_ key: String) -> Member? {
    guard case .mapping(let members) = content else { return nil }
    return members.first { $0.key == key }
  }

  package var isNull: Bool {
    if case .scalar(let scalar) = content { scalar.value == .null } else { false }
  }
}

/// A scalar as Kubernetes understands it, which is YAML 1.1 as Go's YAML package reads it.
package struct Scalar: Hashable, Sendable {
  package enum Value: Hashable, Sendable {
    case null
    case bool(Bool)
    case int(Int)
    /// Too large for `int` too.
    case number(Double)
    case text(String)
  }

  package let value: Value
  /// As it was written, without its quotes.
  package let text: String

  init(_ written: Events.Text) {
    text = written.text
    value =
      switch written.tag {
      case nil where written.isPlain: Self.resolved(written.text)
      case "tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:bool",
        "tag:yaml.org,2002:null":
        Self.resolved(written.text)
      // Quoted, `!!str`, or a tag that nobody knows.
      default: .text(written.text)
      }
  }

  /// Of a plain scalar.
  static func resolved(_ text: String) -> Value {
    switch text {
    case "", "~", "null", "Null", "NULL": .null
    case "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON": .bool(true)
    case "n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF": .bool(false)
    case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF": .number(.infinity)
    case "-.inf", "-.Inf", "-.INF": .number(-.infinity)
    case ".nan", ".NaN", ".NAN": .number(.nan)
    default: number(text) ?? .text(text)
    }
  }

  /// Whole numbers with their base in front (`0x`, `0b`, `0o`, or only `0` for octal) and underscores anywhere, then
  /// decimal fractions.
  private static func number(_ text: String) -> Value? {
    guard let first = text.utf8.first, "0123456789+-.".utf8.contains(first), text.utf8.count <= longestNumber
    else { return nil }
    let plain = text.utf8.filter { $0 != UInt8(ascii: "_") }
    if let int = int(String(decoding: plain, as: UTF8.self)) { return .int(int) }
    // `Double` alone would take "0x1p3", "1." with a sign in front of nothing, and the like.
    guard isFraction(plain), let number = Double(String(decoding: plain, as: UTF8.self)) else { return nil }
    if let whole = Int(exactly: number) { return .int(whole) }
    return .number(number)
  }

  /// No number of Kubernetes has more signs, and to read one takes longer than in proportion to them.
  private static let longestNumber = 400

  private static let bases = [("0x", 16), ("0X", 16), ("0b", 2), ("0B", 2), ("0o", 8), ("0O", 8), ("0", 8)]

  private static func int(_ text: String) -> Int? {
    var digits = Substring(text)
    let isNegative = digits.first == "-"
    if isNegative || digits.first == "+" { digits.removeFirst() }
    var radix = 10
    for (prefix, base) in Self.bases where digits.hasPrefix(prefix) && digits.count > prefix.count {
      digits.removeFirst(prefix.count)
      radix = base
      break
    }
    // `Int` would take a second sign.
    guard let first = digits.first, first != "+", first != "-" else { return nil }
    return Int((isNegative ? "-" : "") + digits, radix: radix)
  }

  /// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
  private static func isFraction(_ text: [UInt8]) -> Bool {
    var rest = text[...]
    func digits(_ rest: inout ArraySlice<UInt8>) -> Bool {
      let before = rest.count
      rest = rest.drop { (0x30...0x39).contains($0) }
      return rest.count < before
    }
    func skip(_ any: String) -> Bool {
      guard let first = rest.first, any.utf8.contains(first) else { return false }
      rest.removeFirst()
      return true
    }
    _ = skip("+-")
    let hasWhole = digits(&rest)
    if skip(".") {
      let hasPart = digits(&rest)
      guard hasWhole || hasPart else { return false }
    } else if !hasWhole {
      return false
    }
    if skip("eE") {
      _ = skip("+-")
      guard digits(&rest) else { return false }
    }
    return rest.isEmpty
  }
}
