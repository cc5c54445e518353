import PoolCore

/// A JSON value, and its text (RFC 8259). Members keep the order they were given in, so that the same state
/// always gives the same bytes and the verdict can come first.
public enum JSON: Hashable, Sendable {
  /// `null`.
  case null
  /// `true` or `false`.
  case bool(Bool)
  /// A whole number; readers that know only doubles keep 53 bits of it.
  case int(Int)
  /// Written as `null` if it is not finite: JSON has no word for it.
  case number(Double)
  /// Text. Control characters, quotes and backslashes are escaped.
  case string(String)
  /// Values in order.
  case array([JSON])
  /// Members in order; nobody checks that their names differ.
  case object([Member])

  /// One name and value of an object.
  public struct Member: Hashable, Sendable {
    /// The name, as text.
    public var name: String
    /// Its value.
    public var value: JSON

    /// A member of this name.
    public init(_ name: String, _ value: JSON) {
      self.name = name
      self.value = value
    }
  }

  /// Seconds, rounded to the microsecond.
  public static func seconds(_ duration: Duration) -> JSON {
    .number(Double((duration.inNanoseconds / 1000)) / 1e6)
  }

  /// `null` for nil.
  public static func string(_ text: String?) -> JSON { text.map(JSON.string) ?? .null }

  /// `null` for nil.
  public static func int(_ number: Int?) -> JSON { number.map(JSON.int) ?? .null }

  /// The value as one line, without a space or line break outside strings.
  public var text: String {
    var text = ""
    write(to: &text)
    return text
  }

  /// Appends `text` to `out`.
  public func write(to out: inout String) {
    switch self {
    case .null: out += "null"
    case .bool(let value): out += value ? "true" : "false"
    case .int(let value): out += String(value)
    case .number(let value): out += value.isFinite ? value.description : "null"
    case .string(let value): JSON.write(value, to: &out)
    case .array(let values):
      out += "["
      for (index, value) in values.enumerated() {
        if index > 0 { out += "," }
        value.write(to: &out)
      }
      out += "]"
    case .object(let members):
      out += "{"
      for (index, member) in members.enumerated() {
        if index > 0 { out += "," }
        JSON.write(member.name, to: &out)
        out += ":"
        member.value.write(to: &out)
      }
      out += "}"
    }
  }

  /// Escapes what RFC 8259 section 7 requires, and the two line separators that JavaScript does not allow in a
  /// string, so that the text can be put into a page.
  private static func write(_ string: String, to out: inout String) {
    out += "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\r": out += "\\r"
      case "\t": out += "\\t"
      case "\u{0}"..."\u{1F}", "\u{7F}", "\u{2028}", "\u{2029}":
        let hex = String(scalar.value, radix: 16)
        out += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
      default: out.unicodeScalars.append(scalar)
      }
    }
    out += "\""
  }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByFloatLiteral, ExpressibleByNilLiteral, ExpressibleByArrayLiteral,
  ExpressibleByDictionaryLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(integerLiteral value: Int) { self = .int(value) }
  public init(floatLiteral value: Double) { self = .number(value) }
  public init(nilLiteral: ()) { self = .null }
  public init(arrayLiteral elements: JSON...) { self = .array(elements) }
  public init(dictionaryLiteral elements: (String, JSON)...) {
    self = .object(elements.map { Member($0.0, $0.1) })
  }
}
