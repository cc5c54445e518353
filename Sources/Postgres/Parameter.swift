/// A value for `$1`, `$2`, … of a statement, in PostgreSQL's text format, and `[UInt8]` in its binary one; the server
/// decides its type from the statement (`$1::int` where it cannot).
///
/// Numbers and the like are sent as text because a binary value must have exactly the type that the server expects,
/// `int4` or `int8`, `real` or `numeric`, which the client does not know; text fits all of them.
public struct Parameter: Hashable, Sendable {
  enum Value: Hashable, Sendable {
    case null
    case text(String)
    case binary([UInt8])
  }

  let value: Value

  /// The value in PostgreSQL's text format, bytes in their `hex` form; nil is SQL's NULL.
  public var text: String? {
    switch value {
    case .null: nil
    case .text(let text): text
    case .binary(let bytes): Self.hex(bytes)
    }
  }

  private init(text: String?) { value = text.map(Value.text) ?? .null }

  /// Text, in UTF-8.
  public init(_ value: String?) { self.init(text: value) }
  /// A whole number, for any integer type or numeric.
  public init(_ value: Int?) { self.init(text: value.map(String.init)) }
  /// A whole number, as of int2.
  public init(_ value: Int16?) { self.init(text: value.map { String($0) }) }
  /// A whole number, as of int4.
  public init(_ value: Int32?) { self.init(text: value.map { String($0) }) }
  /// A whole number, as of int8.
  public init(_ value: Int64?) { self.init(text: value.map { String($0) }) }
  /// As of float8: the shortest text that reads back as the same number, `NaN` and `Infinity` included.
  public init(_ value: Double?) { self.init(text: value.map(Self.float)) }
  /// Of boolean.
  public init(_ value: Bool?) { self.init(text: value.map { $0 ? "t" : "f" }) }

  /// As of float4, like `Double`.
  public init(_ value: Float?) {
    self.init(text: value.map { $0.isFinite ? String($0) : Self.float(Double($0)) })
  }
  /// Of uuid.
  public init(_ value: PostgresUUID?) { self.init(text: value?.uuidString) }
  /// Of timestamptz, in UTC; of timestamp it is the UTC time.
  public init(_ value: Timestamp?) { self.init(text: value?.description) }
  /// bytea, as it is: `$1::bytea` where the statement leaves its type open.
  public init(_ value: [UInt8]?) { self.value = value.map(Value.binary) ?? .null }

  /// An array of one dimension, as for `= ANY($1)`.
  public init(array: [Parameter]) {
    let elements = array.map { element in
      guard let text = element.text else { return "NULL" }
      // Scalar by scalar: a quote that carries a combining mark is another Character, and a quote to PostgreSQL.
      var quoted = "\"".unicodeScalars
      for scalar in text.unicodeScalars {
        if scalar == "\"" || scalar == "\\" { quoted.append("\\") }
        quoted.append(scalar)
      }
      quoted.append("\"")
      return String(quoted)
    }
    self.init(text: "{" + elements.joined(separator: ",") + "}")
  }

  /// SQL's NULL.
  public static let null = Parameter(String?.none)

  /// Bytes of its value.
  var size: Int {
    switch value {
    case .null: 0
    case .text(let text): text.utf8.count
    case .binary(let bytes): bytes.count
    }
  }

  /// Text cannot hold one.
  var hasZeroByte: Bool {
    if case .text(let text) = value { text.utf8.contains(0) } else { false }
  }

  /// As PostgreSQL spells the values that are not numbers.
  private static func float(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Infinity" : "Infinity" }
    return String(value)
  }

  private static func hex(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(unsafeUninitializedCapacity: 2 + 2 * bytes.count) { text in
      text[0] = UInt8(ascii: "\\")
      text[1] = UInt8(ascii: "x")
      for (index, byte) in bytes.enumerated() {
        text[2 + 2 * index] = digits[Int(byte >> 4)]
        text[3 + 2 * index] = digits[Int(byte & 15)]
      }
      return 2 + 2 * bytes.count
    }
  }
}

extension Parameter: ExpressibleByStringLiteral, ExpressibleByStringInterpolation,
  ExpressibleByIntegerLiteral,
  ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral, ExpressibleByNilLiteral
{
  public init(stringLiteral value: String) { self.init(value) }
  public init(integerLiteral value: Int) { self.init(value) }
  public init(floatLiteral value: Double) { self.init(value) }
  public init(booleanLiteral value: Bool) { self.init(value) }
  public init(nilLiteral: ()) { self = .null }
}
