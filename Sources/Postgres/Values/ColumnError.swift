/// A column's value is not what it was asked to be read as.
public struct ColumnError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Its name, or its number if there is no such column.
  public var column: String
  /// From 0.
  public var row: Int
  public var wanted: String
  /// The beginning of the value, at most 100 characters; nil for SQL's NULL, or if there is no such column.
  public var value: String?
  public var reason: Reason

  public enum Reason: String, Hashable, Sendable {
    case missing = "there is no such column"
    case null = "it is NULL: ask for an optional"
    case unreadable = "its value is none, or does not fit"
    case unsupported = "a row has no nested values: read the column as a String"
  }

  public var description: String {
    let shown = value.map { " (\($0.debugDescription))" } ?? ""
    return "column \(column) of row \(row) cannot be read as \(wanted): \(reason.rawValue)\(shown)"
  }
}
