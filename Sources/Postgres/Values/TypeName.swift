/// What the server calls the types that columns commonly have (PostgreSQL manual, chapter 8; `pg_type.oid` of these is
/// fixed, PostgreSQL source `pg_type.dat`), so that an error can name one without asking.
enum TypeName {
  static func of(_ oid: UInt32) -> String { known[oid] ?? "type \(oid)" }

  static let known: [UInt32: String] = [
    16: "bool", 17: "bytea", 18: "char", 19: "name", 20: "int8", 21: "int2", 23: "int4", 25: "text",
    26: "oid",
    114: "json", 142: "xml", 650: "cidr", 700: "float4", 701: "float8", 790: "money", 869: "inet",
    1042: "bpchar",
    1043: "varchar", 1082: "date", 1083: "time", 1114: "timestamp", 1184: "timestamptz", 1186: "interval",
    1266: "timetz", 1700: "numeric", 2950: "uuid", 3802: "jsonb",
    1000: "bool[]", 1001: "bytea[]", 1005: "int2[]", 1007: "int4[]", 1009: "text[]", 1015: "varchar[]",
    1016: "int8[]", 1021: "float4[]", 1022: "float8[]", 1115: "timestamp[]", 1182: "date[]",
    1185: "timestamptz[]",
    1231: "numeric[]", 2951: "uuid[]", 3807: "jsonb[]",
  ]
}
