import CLibpq

/// What a statement returned. Values stay in libpq's memory until they are read; it goes with the last copy.
public struct QueryResult: Sendable {
  let memory: ResultMemory

  init(_ memory: ResultMemory) { self.memory = memory }

  /// The names of the columns, in order; not necessarily different.
  public var columns: [String] {
    (0..<columnCount).map { index in
      PQfname(memory.result, Int32(index)).map { String(cString: $0) } ?? ""
    }
  }

  /// How many columns; zero for a statement that returns none.
  public var columnCount: Int { Int(PQnfields(memory.result)) }
  /// How many rows were returned.
  public var rowCount: Int { Int(PQntuples(memory.result)) }

  /// The value in PostgreSQL's text format; nil for SQL's NULL, and where there is no such row or column.
  public subscript(row: Int, column: Int) -> String? {
    guard (0..<rowCount).contains(row), (0..<columnCount).contains(column) else { return nil }
    let (row, column) = (Int32(row), Int32(column))
    guard PQgetisnull(memory.result, row, column) == 0, let value = PQgetvalue(memory.result, row, column)
    else {
      return nil
    }
    let length = Int(PQgetlength(memory.result, row, column))
    return value.withMemoryRebound(to: UInt8.self, capacity: length) {
      String(decoding: UnsafeBufferPointer(start: $0, count: length), as: UTF8.self)
    }
  }

  /// The value of the first column with that name.
  public subscript(row: Int, column: String) -> String? {
    guard let index = columns.firstIndex(of: column) else { return nil }
    return self[row, index]
  }

  /// The rows, in the order in which the server sent them.
  public var rows: Rows { Rows(result: self) }

  /// Rows changed or returned, as the server counts them; nil for a statement that has no such number.
  public var affectedRows: Int? { PQcmdTuples(memory.result).flatMap { Int(String(cString: $0)) } }

  /// The server's name for what it did, such as `INSERT 0 1`. Empty for an empty statement.
  public var command: String { PQcmdStatus(memory.result).map { String(cString: $0) } ?? "" }

  /// Whether it was `DISCARD ALL` or a `DEALLOCATE`.
  var forgetsStatements: Bool {
    guard let tag = PQcmdStatus(memory.result) else { return false }
    // Nearly everything is decided by its first letter.
    return tag[0] == CChar(bitPattern: 0x44) && (command == "DISCARD ALL" || command.hasPrefix("DEALLOCATE"))
  }

  /// The rows of a result.
  public struct Rows: RandomAccessCollection, Sendable {
    let result: QueryResult
    public var startIndex: Int { 0 }
    public var endIndex: Int { result.rowCount }
    public subscript(position: Int) -> Row { Row(result: result, index: position) }
  }

  /// One row of a result.
  public struct Row: Sendable {
    let result: QueryResult
    let index: Int
    /// Nil for SQL's NULL, and where there is no such column.
    public subscript(column: Int) -> String? { result[index, column] }
    public subscript(column: String) -> String? { result[index, column] }
  }
}

/// Owns a `PGresult`, cleared once, with the last reference.
///
/// `@unchecked Sendable` because a result is never changed after libpq has handed it out, and reading one from
/// several threads is allowed (PostgreSQL manual, 34.20 "Behavior in Threaded Programs").
final class ResultMemory: @unchecked Sendable {
  let result: OpaquePointer

  init(_ result: OpaquePointer) { self.result = result }

  deinit { PQclear(result) }
}
