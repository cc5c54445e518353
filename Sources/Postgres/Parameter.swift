/// A value for `$1`, `$2`, … of a statement, in PostgreSQL's text format; the server decides its type from the
/// statement (`$1::int` where it cannot).
public struct Parameter: Hashable, Sendable {
  /// Nil is SQL's NULL.
  public let text: String?

  public init(_ value: String?) { text = value }
  public init(_ value: Int?) { text = value.map(String.init) }
  public init(_ value: Double?) { text = value.map(Self.float) }
  public init(_ value: Bool?) { text = value.map { $0 ? "t" : "f" } }

  public static let null = Parameter(String?.none)

  /// As PostgreSQL spells the values that are not numbers.
  private static func float(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Infinity" : "Infinity" }
    return String(value)
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
