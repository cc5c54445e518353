extension QueryResult {
  /// Every row as a `Decodable` value: its properties from the columns of the same names, spelled alike (name them
  /// with `AS "userName"` or with `CodingKeys`: `first_name` is not `firstName`); a type that is one value from the only
  /// column there is; a type that reads a list, such as `[Int]`, from the columns in their order.
  ///
  /// Throws a `ColumnError`, or what the type's own `init(from:)` throws.
  public func decode<Value: Decodable>(_ type: Value.Type) throws -> [Value] {
    // The first of several columns of one name, as everywhere.
    let columns = Dictionary(zip(self.columns, 0...), uniquingKeysWith: { first, _ in first })
    return try rows.map { row in
      let decoder = RowDecoder(row: row, columns: columns)
      if columnCount == 1, let single = try decoder.column(0).direct(type) { return single }
      return try Value(from: decoder)
    }
  }
}

/// One row, as `Decodable` types see it.
private struct RowDecoder: Decoder {
  let row: QueryResult.Row
  let columns: [String: Int]
  var codingPath: [any CodingKey] { [] }
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedDecodingContainer<Key> {
    KeyedDecodingContainer(RowColumns<Key>(decoder: self))
  }

  func unkeyedContainer() -> any UnkeyedDecodingContainer { RowList(decoder: self) }

  func singleValueContainer() throws -> any SingleValueDecodingContainer { column(0) }

  func column(_ number: Int) -> ColumnDecoder { ColumnDecoder(row: row, number: number, codingPath: []) }
}

private struct RowColumns<Key: CodingKey>: KeyedDecodingContainerProtocol {
  let decoder: RowDecoder
  var codingPath: [any CodingKey] { [] }
  var allKeys: [Key] { decoder.columns.keys.compactMap { Key(stringValue: $0) } }

  func contains(_ key: Key) -> Bool { decoder.columns[key.stringValue] != nil }

  private func column(_ key: Key, _ wanted: Any.Type) throws -> ColumnDecoder {
    guard let number = decoder.columns[key.stringValue] else {
      throw ColumnError(
        column: key.stringValue, type: nil, row: decoder.row.index, wanted: "\(wanted)", value: nil,
        reason: .missing)
    }
    return ColumnDecoder(row: decoder.row, number: number, codingPath: [key])
  }

  func decodeNil(forKey key: Key) throws -> Bool { try column(key, Never?.self).decodeNil() }

  func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
    try column(key, type).decode(type)
  }

  func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type, forKey key: Key
  ) throws -> KeyedDecodingContainer<Nested> {
    try column(key, type).container(keyedBy: type)
  }

  func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
    try column(key, [Any].self).unkeyedContainer()
  }

  func superDecoder() throws -> any Decoder { decoder }
  func superDecoder(forKey key: Key) throws -> any Decoder { try column(key, Any.self) }
}

/// The columns of a row, one after the other.
private struct RowList: UnkeyedDecodingContainer {
  let decoder: RowDecoder
  private(set) var currentIndex = 0
  var codingPath: [any CodingKey] { [] }
  var count: Int? { decoder.row.result.columnCount }
  var isAtEnd: Bool { currentIndex >= decoder.row.result.columnCount }

  init(decoder: RowDecoder) { self.decoder = decoder }

  /// The next column; it is passed only by what could be read.
  private func next(_ wanted: Any.Type) throws -> ColumnDecoder {
    guard !isAtEnd else { throw decoder.row.error(.missing, currentIndex, wanted: wanted) }
    return decoder.column(currentIndex)
  }

  mutating func decodeNil() throws -> Bool {
    guard try next(Never?.self).decodeNil() else { return false }
    currentIndex += 1
    return true
  }

  mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    let value = try next(type).decode(type)
    currentIndex += 1
    return value
  }

  mutating func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type
  ) throws -> KeyedDecodingContainer<Nested> { try next(type).container(keyedBy: type) }

  mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
    try next([Any].self).unkeyedContainer()
  }

  mutating func superDecoder() throws -> any Decoder { try next(Any.self) }
}

/// One column of a row: a single value.
private struct ColumnDecoder: Decoder, SingleValueDecodingContainer {
  let row: QueryResult.Row
  let number: Int
  let codingPath: [any CodingKey]
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
    throw row.error(.unsupported, number, wanted: type)
  }

  func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
    throw row.error(.unsupported, number, wanted: [Any].self)
  }

  func singleValueContainer() -> any SingleValueDecodingContainer { self }

  func decodeNil() -> Bool { row.result.bytes(row.index, number) == nil }

  func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    if let value = try direct(type) { return value }
    return try Value(from: self)
  }

  /// Types that know PostgreSQL's text themselves; nil for all others.
  func direct<Value>(_ type: Value.Type) throws -> Value? {
    guard let column = type as? any ColumnDecodable.Type else { return nil }
    return try row.decode(column, at: number) as? Value
  }
}
