/// A `uuid`: sixteen bytes. Of its own, because Foundation's is not linked; `uuidString` leads from one to the other.
public struct PostgresUUID: Hashable, Sendable, LosslessStringConvertible {
  /// In the order in which they are written.
  public let bytes: [UInt8]

  /// Nil unless there are sixteen.
  public init?(bytes: [UInt8]) {
    guard bytes.count == 16 else { return nil }
    self.bytes = bytes
  }

  /// As `6f1c2b52-…`, in capitals or not, with or without the hyphens.
  public init?(_ description: String) {
    guard let bytes = Self.bytes(of: description.utf8) else { return nil }
    self.bytes = bytes
  }

  private static func bytes(of text: some Sequence<UInt8>) -> [UInt8]? {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(16)
    var high: UInt8?
    for byte in text where byte != UInt8(ascii: "-") {
      guard let digit = nibble(byte), bytes.count < 16 else { return nil }
      if let first = high {
        bytes.append(first << 4 | digit)
        high = nil
      } else {
        high = digit
      }
    }
    return bytes.count == 16 && high == nil ? bytes : nil
  }

  /// In small letters, with hyphens.
  public var uuidString: String {
    var text = ""
    for (index, byte) in bytes.enumerated() {
      if [4, 6, 8, 10].contains(index) { text += "-" }
      if byte < 16 { text += "0" }
      text += String(byte, radix: 16)
    }
    return text
  }

  public var description: String { uuidString }
}

extension PostgresUUID: ColumnDecodable {
  public init?(postgresText text: UnsafeBufferPointer<UInt8>) {
    guard let bytes = Self.bytes(of: text) else { return nil }
    self.bytes = bytes
  }
}

extension PostgresUUID: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let uuid = PostgresUUID(try container.decode(String.self)) else {
      throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a UUID")
    }
    self = uuid
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(uuidString)
  }
}
