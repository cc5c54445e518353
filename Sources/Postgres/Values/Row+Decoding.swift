import CLibpq

extension QueryResult.Row {
  /// The value of a column, from 0. Throws a `ColumnError` for NULL and for what is no such value.
  public func decode<Value: ColumnDecodable>(_ type: Value.Type, at column: Int) throws(ColumnError) -> Value
  {
    guard let value = try decode(Value?.self, at: column) else {
      throw error(.null, column, wanted: type)
    }
    return value
  }

  /// The value of a column, from 0; nil for SQL's NULL.
  public func decode<Value: ColumnDecodable>(
    _ type: Value?.Type, at column: Int
  ) throws(ColumnError) -> Value? {
    guard (0..<result.columnCount).contains(column) else { throw error(.missing, column, wanted: Value.self) }
    guard let bytes = result.bytes(index, column) else { return nil }
    // The result, which owns the bytes, outlives this call: `self` holds it.
    guard let value = withExtendedLifetime(self, { Value(postgresText: bytes) }) else {
      throw error(.unreadable, column, wanted: Value.self)
    }
    return value
  }

  /// The value of the first column with that name.
  public func decode<Value: ColumnDecodable>(_ type: Value.Type, _ name: String) throws(ColumnError) -> Value
  {
    try decode(type, at: try number(of: name, wanted: type))
  }

  /// The value of the first column with that name; nil for SQL's NULL.
  public func decode<Value: ColumnDecodable>(
    _ type: Value?.Type, _ name: String
  ) throws(ColumnError) -> Value? {
    try decode(type, at: try number(of: name, wanted: Value.self))
  }

  /// The same as `decode(_:_:)`: `try row["name", as: String.self]`.
  public subscript<Value: ColumnDecodable>(name: String, as type: Value.Type) -> Value {
    get throws(ColumnError) { try decode(type, name) }
  }

  /// The same for a column that may be NULL: `try row["seen", as: Timestamp?.self]`.
  public subscript<Value: ColumnDecodable>(name: String, as type: Value?.Type) -> Value? {
    get throws(ColumnError) { try decode(type, name) }
  }

  /// The same for a column by its number, from 0.
  public subscript<Value: ColumnDecodable>(column: Int, as type: Value.Type) -> Value {
    get throws(ColumnError) { try decode(type, at: column) }
  }

  /// The same for a column by its number, from 0, that may be NULL.
  public subscript<Value: ColumnDecodable>(column: Int, as type: Value?.Type) -> Value? {
    get throws(ColumnError) { try decode(type, at: column) }
  }

  private func number(of name: String, wanted: Any.Type) throws(ColumnError) -> Int {
    guard let column = result.number(of: name) else {
      throw ColumnError(
        column: name, type: nil, row: index, wanted: "\(wanted)", value: nil, reason: .missing)
    }
    return column
  }

  func error(_ reason: ColumnError.Reason, _ column: Int, wanted: Any.Type) -> ColumnError {
    ColumnError(
      column: result.name(of: column) ?? "\(column)", type: result.typeName(of: column), row: index,
      wanted: "\(wanted)",
      value: self[column].map { String($0.prefix(100)) }, reason: reason)
  }
}

extension QueryResult {
  /// Where libpq keeps the value; nil for SQL's NULL, and where there is no such row or column. Valid as long as the
  /// result.
  func bytes(_ row: Int, _ column: Int) -> UnsafeBufferPointer<UInt8>? {
    guard (0..<rowCount).contains(row), (0..<columnCount).contains(column) else { return nil }
    let (row, column) = (Int32(row), Int32(column))
    guard PQgetisnull(memory.result, row, column) == 0, let value = PQgetvalue(memory.result, row, column)
    else { return nil }
    let count = Int(PQgetlength(memory.result, row, column))
    return UnsafeBufferPointer(
      start: UnsafeRawPointer(value).assumingMemoryBound(to: UInt8.self), count: count)
  }

  func name(of column: Int) -> String? {
    guard (0..<columnCount).contains(column) else { return nil }
    return PQfname(memory.result, Int32(column)).map { String(cString: $0) }
  }

  func typeName(of column: Int) -> String? {
    guard (0..<columnCount).contains(column) else { return nil }
    return TypeName.of(PQftype(memory.result, Int32(column)))
  }

  /// The first column with that name, as it is spelled.
  func number(of name: String) -> Int? { (0..<columnCount).first { self.name(of: $0) == name } }
}
