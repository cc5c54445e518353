import Foundation
import PoolCore
import Support
import Testing

@testable import Postgres

/// Values go to a real server and come back as they were.
@Suite("typed values") struct ValuesTests {
  /// What `value` is after a way to the server and back.
  private func trip<Value: ColumnDecodable>(
    _ value: Value, _ parameter: Parameter, as type: String, _ connection: Connection
  ) async throws -> Value? {
    let result = try await connection.query("SELECT $1::\(type)", [parameter])
    return try result.rows[0].decode(Value?.self, at: 0)
  }

  @Test("numbers, at the ends of their ranges too")
  func numbers() async throws {
    try await withConnection { connection, _ in
      for value in [0, 1, -1, 42, .max, .min] {
        let back = try await trip(value, Parameter(value), as: "int8", connection)
        #expect(back == value)
      }
      for value in [Int32.max, .min] {
        let back = try await trip(value, Parameter(value), as: "int4", connection)
        #expect(back == value)
      }
      for value in [Int16.max, .min] {
        let back = try await trip(value, Parameter(value), as: "int2", connection)
        #expect(back == value)
      }
      for value in [0, -0.1, 1e300, .leastNonzeroMagnitude, .greatestFiniteMagnitude, .infinity, -.infinity] {
        let back = try await trip(value, Parameter(value), as: "float8", connection)
        #expect(back == value)
      }
      let float = try await trip(Float(0.1), Parameter(Float(0.1)), as: "float4", connection)
      #expect(float == 0.1)
      let nan = try await trip(Double.nan, Parameter(Double.nan), as: "float8", connection)
      #expect(nan?.isNaN == true)
    }
  }

  @Test("truth, text, bytes, UUIDs and NULL")
  func others() async throws {
    try await withConnection { connection, _ in
      for value in [true, false] {
        let back = try await trip(value, Parameter(value), as: "bool", connection)
        #expect(back == value)
      }
      for value in ["", "é€😀", "'\"\\ \n\t", String(repeating: "x", count: 100_000)] {
        let back = try await trip(value, Parameter(value), as: "text", connection)
        #expect(back == value)
      }
      for style in ["hex", "escape"] {
        _ = try await connection.query("SET bytea_output = '\(style)'")
        for value in [[], [0], Array(0...255), [UInt8](repeating: 0x5C, count: 1 << 20)] as [[UInt8]] {
          let back = try await trip(value, Parameter(value), as: "bytea", connection)
          #expect(back == value, "\(style), \(value.count) bytes")
        }
      }
      let uuid = try #require(PostgresUUID("6F1C2B52-0d8e-4c5a-9f00-0123456789ab"))
      let back = try await trip(uuid, Parameter(uuid), as: "uuid", connection)
      #expect(back == uuid && uuid.description == "6f1c2b52-0d8e-4c5a-9f00-0123456789ab")
      let null = try await trip(0, .null, as: "int4", connection)
      #expect(null == nil)
      let array = Parameter(array: ["plain", "with \"quotes\" and \\", "a,b", "{}", "", .null, "NULL"])
      let elements = try await connection.query("SELECT unnest($1::text[])", [array])
      #expect(
        elements.rows.map { $0[0] } == ["plain", "with \"quotes\" and \\", "a,b", "{}", "", nil, "NULL"])
    }
  }

  @Test("bytes go as they are, beside text and NULL, however the statement is sent")
  func binary() async throws {
    try await withConnection { connection, _ in
      let all = Array(UInt8.min...UInt8.max)
      let large = [UInt8](repeating: 0, count: 5_000_000)
      let sql = "SELECT $1::bytea, $2::text, $3::bytea, $4::bytea, $5::int8, length($6::bytea)"
      let parameters: [Parameter] = [
        Parameter(all), "é", Parameter([UInt8]?.none), Parameter([]), 7, Parameter(large),
      ]
      func check(_ row: QueryResult.Row) throws {
        #expect(try row.decode([UInt8].self, at: 0) == all && row[1] == "é")
        #expect(try row.decode([UInt8]?.self, at: 2) == nil && row.decode([UInt8].self, at: 3) == [])
        #expect(try row.decode(Int.self, at: 4) == 7 && row.decode(Int.self, at: 5) == large.count)
      }
      // Unnamed, then prepared, then prepared already.
      for _ in 0..<3 { try check(try await connection.query(sql, parameters).rows[0]) }
      for result in try await connection.pipeline([Statement(sql, parameters), Statement(sql, parameters)]) {
        try check(result.rows[0])
      }
      try await connection.beginStream(sql, parameters)
      while let rows = try await connection.nextRows() { for row in rows { try check(row) } }
      // The same statement with and without binary values.
      for value in [Parameter(all), Parameter("\\x00ff"), .null, Parameter([0, 255])] {
        let back = try await connection.query("SELECT encode($1::bytea, 'hex')", [value])[0, 0]
        #expect(back == value.text.map { String($0.dropFirst(2)) })
      }
      let list = Parameter(array: [Parameter([1, 2]), .null, Parameter([])])
      let elements = try await connection.query("SELECT unnest($1::bytea[])", [list])
      #expect(try elements.decode([UInt8]?.self) == [[1, 2], nil, []])
    }
  }

  @Test("every common type takes the ends of its range as text and gives them back")
  func extremes() async throws {
    try await withConnection { connection, _ in
      for (type, values) in [
        ("int2", ["-32768", "32767"]), ("int4", ["-2147483648", "2147483647"]),
        ("int8", ["-9223372036854775808", "9223372036854775807"]), ("oid", ["0", "4294967295"]),
        (
          "numeric",
          [
            "NaN", "Infinity", "-Infinity", String(repeating: "9", count: 1000),
            "0." + String(repeating: "0", count: 500) + "1",
          ]
        ),
        ("float4", ["1e-45", "-3.4028235e+38", "NaN"]),
        ("float8", ["5e-324", "1.7976931348623157e+308", "-0"]),
        ("text", ["", "\u{10FFFF}", "\u{1}", "NULL"]), ("char(3)", ["a  "]),
        ("name", [String(repeating: "n", count: 63)]),
        ("date", ["4713-01-01 BC", "5874897-12-31", "infinity"]),
        ("time", ["00:00:00", "24:00:00", "23:59:59.999999"]),
        ("timetz", ["00:00:00+15:59:59", "24:00:00-15:59:59"]),
        ("timestamp", ["4713-01-01 00:00:00 BC", "294276-12-31 23:59:59.999999", "-infinity"]),
        ("interval", ["-178000000 years", "178000000 years", "00:00:00.000001"]),
        ("uuid", ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"]),
        ("json", ["{\"a\": [1, null]}", "null"]), ("jsonb", ["{\"a\": [1, null]}"]),
        ("inet", ["::ffff:1.2.3.4/128", "10.0.0.0/8"]),
        ("int4[]", ["{}", "{{1,NULL},{-2147483648,3}}"]), ("int4range", ["empty", "[1,5)"]),
        ("bit(3)", ["101"]), ("money", ["-$92,233,720,368,547,758.08"]),
      ] {
        for value in values {
          let back = try await connection.query("SELECT $1::\(type)", [Parameter(value)])[0, 0]
          let server = try await connection.query(
            "SELECT '\(value.replacingOccurrences(of: "'", with: "''"))'::\(type)")[0, 0]
          #expect(back == server && (back == value || type == "inet"), "\(type) \(value.prefix(40))")
        }
        let null = try await connection.query("SELECT $1::\(type)", [.null])[0, 0]
        #expect(null == nil)
      }
    }
  }

  @Test("array elements whose quotes and backslashes carry combining marks stay the elements they are")
  func arrayQuoting() async throws {
    try await withConnection { connection, _ in
      let marks = ["a\"\u{301},b", "\\\u{301}", "\"\u{200D}\",NULL", "{\"\u{308}}", "\r\n\"\r\n"]
      let array = Parameter(array: marks.map { Parameter($0) })
      let elements = try await connection.query("SELECT unnest($1::text[])", [array])
      // Strings compare by canonical equivalence; what is wanted is the same scalars.
      #expect(elements.rows.map { $0[0].map { Array($0.utf8) } } == marks.map { Array($0.utf8) })
      let numbers = Parameter(array: [1, .null, -3])
      let sum = try await connection.query("SELECT sum(n) FROM unnest($1::int4[]) n", [numbers])
      #expect(try sum.rows[0].decode(Int.self, at: 0) == -2)
      let none = try await connection.query("SELECT cardinality($1::text[])", [Parameter(array: [])])
      #expect(try none.rows[0].decode(Int.self, at: 0) == 0)
    }
  }

  @Test("a number beyond the floating-point type is an error, infinity is infinity, and too small is zero")
  func floatingRange() async throws {
    try await withConnection { connection, _ in
      let row = try await connection.query(
        "SELECT 1e400::numeric, '-1e400'::numeric, 1e40::float8, 'Infinity'::numeric, 1e-400::numeric, 'NaN'::numeric"
      ).rows[0]
      #expect(throws: ColumnError.self) { try row.decode(Double.self, at: 0) }
      #expect(throws: ColumnError.self) { try row.decode(Double.self, at: 1) }
      #expect(throws: ColumnError.self) { try row.decode(Float.self, at: 2) }
      #expect(try row.decode(Double.self, at: 2) == 1e40)
      #expect(try row.decode(Double.self, at: 3) == .infinity)
      #expect(try row.decode(Double.self, at: 4) == 0)
      #expect(try row.decode(Double.self, at: 5).isNaN)
    }
  }

  @Test("the names of types in errors are the server's own")
  func typeNames() async throws {
    try await withConnection { connection, _ in
      for (oid, name) in TypeName.known {
        let server = try await connection.query(
          """
          SELECT CASE WHEN e.oid IS NULL THEN t.typname::text ELSE e.typname || '[]' END
          FROM pg_type t LEFT JOIN pg_type e ON e.typarray = t.oid WHERE t.oid = $1::oid
          """, [Parameter(Int64(oid))])[0, 0]
        #expect(server == name, "\(oid)")
      }
      let row = try await connection.query(
        "SELECT 'x'::text AS word, ARRAY[1] AS list, '0/1'::pg_lsn AS odd"
      ).rows[0]
      func type(of name: String) -> String? {
        do throws(ColumnError) {
          _ = try row.decode(Int.self, name)
          return nil
        } catch { return error.type }
      }
      #expect(type(of: "word") == "text" && type(of: "list") == "int4[]" && type(of: "odd") == "type 3220")
      #expect(type(of: "absent") == nil)
    }
  }

  @Test("a row is read by subscript, and as a list of its columns in their order")
  func listsAndSubscripts() async throws {
    struct Pair: Decodable, Equatable {
      var number: Int
      var word: String?
      var rest: Bool
      init(_ number: Int, _ word: String?, _ rest: Bool) {
        (self.number, self.word, self.rest) = (number, word, rest)
      }
      init(from decoder: any Decoder) throws {
        var columns = try decoder.unkeyedContainer()
        number = try columns.decode(Int.self)
        word = try columns.decodeIfPresent(String.self)
        rest = columns.count == 3 && columns.currentIndex == 2 && !columns.isAtEnd
        _ = try columns.decode(Double.self)
      }
    }
    try await withConnection { connection, _ in
      let result = try await connection.query("SELECT 1 AS n, 'a' AS n, 2.5 UNION ALL SELECT 2, NULL, 3")
      #expect(try result.rows[0]["n", as: Int.self] == 1)
      #expect(try result.rows[0][1, as: String.self] == "a")
      #expect(try result.rows[1][1, as: String?.self] == nil)
      #expect(throws: ColumnError.self) { try result.rows[1][1, as: String.self] }
      #expect(throws: ColumnError.self) { try result.rows[0]["m", as: Int?.self] }
      #expect(try result.decode(Pair.self) == [Pair(1, "a", true), Pair(2, nil, true)])
      #expect(try await connection.query("SELECT 1, 2, 3").decode([Int].self) == [[1, 2, 3]])
      struct Greedy: Decodable {
        init(from decoder: any Decoder) throws {
          var columns = try decoder.unkeyedContainer()
          for _ in 0..<10 { _ = try columns.decode(String?.self) }
        }
      }
      let error = #expect(throws: ColumnError.self) { try result.decode(Greedy.self) }
      #expect(error?.reason == .missing && error?.column == "3")
    }
  }

  @Test("moments: far past and future, before Christ, fractions, infinities, every time zone")
  func moments() async throws {
    try await withConnection { connection, _ in
      let epoch = Timestamp(microsecondsSince1970: 0)
      #expect(epoch.description == "1970-01-01 00:00:00+00")
      #expect(Timestamp("2026-11-21 08:30:00.5+02")?.description == "2026-11-21 06:30:00.5+00")
      for zone in ["UTC", "Asia/Kolkata", "America/St_Johns", "Europe/Amsterdam"] {
        _ = try await connection.query("SET TimeZone = '\(zone)'")
        let moments: [Timestamp] = [
          epoch, .infinity, .negativeInfinity, Timestamp(secondsSince1970: 1_795_242_600.123456),
          Timestamp(microsecondsSince1970: -1), Timestamp(microsecondsSince1970: 951_782_400_000_000),
          // 44 BC, 4713 BC, 294276 AD: as far as PostgreSQL goes.
          Timestamp(secondsSince1970: -63_549_360_000), Timestamp(secondsSince1970: -210_800_000_000),
          Timestamp(secondsSince1970: 9_224_000_000_000),
        ]
        for moment in moments {
          let back = try await trip(moment, Parameter(moment), as: "timestamptz", connection)
          #expect(back == moment, "\(moment) in \(zone)")
        }
      }
      let date = try await connection.query(
        "SELECT date '2024-02-29', timestamp '2024-02-29 12:00:00.000001'")
      #expect(try date.rows[0].decode(Timestamp.self, at: 0).description == "2024-02-29 00:00:00+00")
      #expect(try date.rows[0].decode(Timestamp.self, at: 1).description == "2024-02-29 12:00:00.000001+00")
    }
  }

  @Test("random values come back as they were")
  func random() async throws {
    let given = ProcessInfo.processInfo.environment["WARMGATE_TEST_SEED"].flatMap(UInt64.init)
    let seed = given ?? .random(in: 0...9999)
    var random = RandomSource(seed: seed)
    try await withConnection { connection, _ in
      for _ in 0..<200 {
        let number = Int64.random(in: .min ... .max, using: &random)
        let double = Double(bitPattern: random.next())
        let bytes = (0..<Int.random(in: 0...300, using: &random)).map { _ in
          UInt8(truncatingIfNeeded: random.next())
        }
        // What PostgreSQL has room for: 4713 BC to 294276 AD.
        let moment = Timestamp(
          microsecondsSince1970: .random(
            in: -210_000_000_000_000_000...9_220_000_000_000_000_000, using: &random))
        let row = try await connection.query(
          "SELECT $1::int8, $2::float8, $3::bytea, $4::timestamptz",
          [Parameter(number), Parameter(double), Parameter(bytes), Parameter(moment)]
        ).rows[0]
        #expect(try row.decode(Int64.self, at: 0) == number, "seed \(seed)")
        let back = try row.decode(Double.self, at: 1)
        #expect(back == double || back.isNaN && double.isNaN, "seed \(seed)")
        #expect(try row.decode([UInt8].self, at: 2) == bytes, "seed \(seed)")
        #expect(try row.decode(Timestamp.self, at: 3) == moment, "seed \(seed)")
      }
    }
  }

  @Test("what cannot be read says which column, what was wanted and what is there")
  func errors() async throws {
    try await withConnection { connection, _ in
      let row = try await connection.query(
        "SELECT 300 AS n, NULL AS nothing, 'abc' AS word, repeat('9', 200) AS long, 1.5 AS fraction, '' AS empty"
      ).rows[0]
      #expect(try row.decode(UInt8?.self, "nothing") == nil)
      #expect(try row.decode(Double.self, "fraction") == 1.5)
      func error<Value: ColumnDecodable>(_ type: Value.Type, _ name: String) -> String? {
        do throws(ColumnError) {
          _ = try row.decode(type, name)
          return nil
        } catch { return error.description }
      }
      let unreadable = "its value is none, or does not fit"
      #expect(
        error(UInt8.self, "n") == #"column n (int4) of row 0 cannot be read as UInt8: \#(unreadable) ("300")"#
      )
      #expect(
        error(Int.self, "nothing")
          == "column nothing (text) of row 0 cannot be read as Int: it is NULL: ask for an optional")
      #expect(error(Int.self, "word")?.contains(#"("abc")"#) == true)
      #expect(error(Bool.self, "word") != nil && error(Timestamp.self, "word") != nil)
      #expect(error(PostgresUUID.self, "word") != nil && error(Double.self, "word") != nil)
      #expect(error(Int.self, "long").map { $0.count < 200 } == true)
      #expect(error(Int.self, "fraction") != nil && error(Int.self, "empty") != nil)
      #expect(error(Int.self, "nope")?.contains("there is no such column") == true)
    }
  }

  @Test("Decodable rows: properties by column name, optionals, enums, one value from one column")
  func decodable() async throws {
    enum Level: String, Decodable { case low, high }
    struct User: Decodable, Equatable {
      var id: Int
      var name: String?
      var level: Level
      var seen: Timestamp?
      var key: PostgresUUID
      var bytes: [UInt8]
      var small: UInt8
    }
    struct Nested: Decodable { var id: [Int] }
    try await withConnection { connection, _ in
      let sql = """
        SELECT 7 AS id, NULL::text AS name, 'high' AS level, timestamptz '1970-01-01 00:00:01+00' AS seen,
          '6f1c2b52-0d8e-4c5a-9f00-0123456789ab'::uuid AS key, '\\x0102'::bytea AS bytes, 200 AS small, 'more' AS more
        """
      let result = try await connection.query(sql)
      let users = try result.decode(User.self)
      let key = try #require(PostgresUUID("6f1c2b52-0d8e-4c5a-9f00-0123456789ab"))
      #expect(
        users == [
          User(
            id: 7, name: nil, level: .high, seen: Timestamp(secondsSince1970: 1), key: key, bytes: [1, 2],
            small: 200)
        ])
      #expect(try await connection.query("SELECT generate_series(1, 3)").decode(Int.self) == [1, 2, 3])
      #expect(
        try await connection.query("SELECT NULL UNION ALL SELECT 'low'").decode(Level?.self) == [nil, .low])
      let missing = #expect(throws: ColumnError.self) { try result.decode(Missing.self) }
      #expect(missing?.reason == .missing && missing?.column == "absent")
      let nested = #expect(throws: ColumnError.self) { try result.decode(Nested.self) }
      #expect(nested?.reason == .unsupported)
    }
  }

  private struct Missing: Decodable { var absent: Int }
}
