/// The messages of `grpc.health.v1`, as they go over the wire (proto3), with gRPC's five bytes before each: whether it is
/// compressed, and its length.
enum GRPCMessage {
  static let prefixSize = 5

  /// Why what a client sent is no request.
  enum Malformed: Error, Hashable {
    case compressed
    /// None, or more than one, where there must be one.
    case count
    case message
  }

  /// The message of a request that has exactly one.
  static func only(in bytes: [UInt8]) throws(Malformed) -> ArraySlice<UInt8> {
    guard bytes.count >= prefixSize else { throw .count }
    if bytes[0] != 0 { throw .compressed }
    let length = bytes[1..<prefixSize].reduce(0) { $0 << 8 | Int($1) }
    guard bytes.count - prefixSize == length else { throw .count }
    return bytes[prefixSize...]
  }

  /// `HealthCheckRequest.service`.
  static func service(in message: ArraySlice<UInt8>) throws(Malformed) -> String {
    var reader = ProtobufReader(rest: message)
    var service = ""
    while let (field, value) = try reader.next() {
      guard field == 1 else { continue }
      guard let value else { throw .message }
      service = String(decoding: value, as: UTF8.self)
    }
    return service
  }

  static func framed(_ message: [UInt8]) -> [UInt8] {
    let length = UInt32(truncatingIfNeeded: message.count)
    return [0] + (0..<4).map { UInt8(truncatingIfNeeded: length >> (24 - 8 * $0)) } + message
  }

  /// `HealthCheckResponse`.
  static func response(_ status: ServingStatus) -> [UInt8] { [0x08, status.rawValue] }

  /// `HealthListResponse`: a map, which on the wire is a list of pairs.
  static func list(_ statuses: [(service: String, status: ServingStatus)]) -> [UInt8] {
    statuses.flatMap { service, status in
      // Every length here is below 128, so each takes one byte.
      let name = Array(service.utf8)
      let pair = field(1, name) + field(2, response(status))
      return field(1, pair)
    }
  }

  private static func field(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] {
    [number << 3 | 2, UInt8(truncatingIfNeeded: bytes.count)] + bytes
  }
}

/// Reads fields one after the other; what it does not know, it steps over.
private struct ProtobufReader {
  var rest: ArraySlice<UInt8>

  /// Number and bytes; without bytes for a field that has another form than a string's. Nil at the end.
  mutating func next() throws(GRPCMessage.Malformed) -> (number: UInt64, bytes: ArraySlice<UInt8>?)? {
    if rest.isEmpty { return nil }
    let tag = try varint()
    guard tag >> 3 > 0 else { throw .message }
    switch tag & 7 {
    case 0: _ = try varint()
    case 1: _ = try take(8)
    case 2: return (tag >> 3, try take(varint()))
    case 5: _ = try take(4)
    default: throw .message
    }
    return (tag >> 3, nil)
  }

  private mutating func varint() throws(GRPCMessage.Malformed) -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: 0, to: 64, by: 7) {
      guard let byte = rest.popFirst() else { throw .message }
      value |= UInt64(byte & 0x7F) << UInt64(shift)
      if byte & 0x80 == 0 { return value }
    }
    throw .message
  }

  private mutating func take(_ count: UInt64) throws(GRPCMessage.Malformed) -> ArraySlice<UInt8> {
    guard count <= UInt64(rest.count) else { throw .message }
    defer { rest.removeFirst(Int(count)) }
    return rest.prefix(Int(count))
  }
}
