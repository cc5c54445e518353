/// A column's value is not what it was asked to be read as.
public struct ColumnError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Its name, or its number if there is no such column.
  public var column: String
  /// Its type at the server, such as `timestamptz` or `int4[]`; `type 3220` for one that is not among the common
  /// ones, and nil if there is no such column.
  public var type: String?
  /// The number of the row in the result, from 0.
  public var row: Int
  /// The Swift type it was to be read as.
  public var wanted: String
  /// The beginning of the value, at most 100 characters; nil for SQL's NULL, or if there is no such column.
  public var value: String?
  /// What is wrong with it.
  public var reason: Reason

  /// What can be wrong with a column.
  public enum Reason: String, Hashable, Sendable {
    /// The result has no column of that name or number.
    case missing = "there is no such column"
    /// It is SQL's NULL, and no optional was asked for.
    case null = "it is NULL: ask for an optional"
    /// Its text is no value of the wanted type, or lies outside its range.
    case unreadable = "its value is none, or does not fit"
    /// A value within a value was asked for.
    case unsupported = "a row has no nested values: read the column as a String"
  }

  public var description: String {
    let type = type.map { " (\($0))" } ?? ""
    let shown = value.map { " (\($0.debugDescription))" } ?? ""
    return "column \(column)\(type) of row \(row) cannot be read as \(wanted): \(reason.rawValue)\(shown)"
  }
}
