public import Postgres

extension Lease {
  /// Runs one statement and reads every row as a `Decodable` value: its properties from the columns of the same names,
  /// or the value itself from the only column there is.
  ///
  ///     struct User: Decodable { var id: Int; var name: String; var seen: Timestamp? }
  ///     let users = try await db.query("SELECT id, name, seen FROM users WHERE id < $1", [100], as: User.self)
  ///
  /// Throws what `query` does, and a `ColumnError` for a value that cannot be read so.
  public func query<Row: Decodable>(
    _ sql: String, _ parameters: [Parameter] = [], as type: Row.Type
  ) async throws -> [Row] {
    try await query(sql, parameters).decode(type)
  }
}
