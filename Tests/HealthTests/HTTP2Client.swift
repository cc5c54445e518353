import Testing

@testable import Health

/// An HTTP/2 client that writes each frame by hand: no library may keep it from being rude.
final class HTTP2Client {
  static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
  let raw: RawClient
  private var buffer: [UInt8] = []

  struct Frame: Hashable {
    enum Kind: UInt8 {
      case data, headers, priority, resetStream, settings, pushPromise, ping, goAway, windowUpdate,
        continuation
    }
    var kind: Kind
    var flags: UInt8 = 0
    var stream: UInt32 = 0
    var payload: [UInt8] = []

    static let endStream: UInt8 = 1
    static let ack: UInt8 = 1
    static let endHeaders: UInt8 = 4

    var bytes: [UInt8] {
      let size = payload.count
      return [UInt8(size >> 16 & 0xFF), UInt8(size >> 8 & 0xFF), UInt8(size & 0xFF), kind.rawValue, flags]
        + word(stream) + payload
    }

    /// The error code of RST_STREAM or GOAWAY.
    var code: UInt32 {
      (kind == .goAway ? payload.dropFirst(4) : payload[...]).prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
    }
  }

  /// Connects, and sends the preface unless told otherwise.
  init(_ address: ListenAddress, greets: Bool = true) throws {
    raw = try RawClient(address)
    if greets { try raw.send(Self.preface + Frame(kind: .settings).bytes) }
  }

  func send(_ frames: [Frame]) throws { try raw.send(frames.flatMap(\.bytes)) }
  func send(_ frame: Frame) throws { try send([frame]) }

  /// The next frame; nil at the end.
  func next() throws -> Frame? {
    while true {
      if buffer.count >= 9 {
        let size = Int(buffer[0]) << 16 | Int(buffer[1]) << 8 | Int(buffer[2])
        if buffer.count >= 9 + size {
          let stream = buffer[5..<9].reduce(0) { $0 << 8 | UInt32($1) }
          let frame = Frame(
            kind: try #require(Frame.Kind(rawValue: buffer[3])), flags: buffer[4], stream: stream,
            payload: Array(buffer[9..<(9 + size)]))
          buffer.removeFirst(9 + size)
          return frame
        }
      }
      let more = try raw.next()
      if more.isEmpty { return nil }
      buffer += more
    }
  }

  /// The next frame of this kind; what comes before it is dropped. Nil at the end.
  func next(_ kind: Frame.Kind, of stream: UInt32? = nil) throws -> Frame? {
    while let frame = try next() {
      if frame.kind == kind, stream == nil || frame.stream == stream { return frame }
    }
    return nil
  }

  /// Headers of a call, each a literal that is not indexed (RFC 7541, 6.2.2).
  static func headers(
    _ stream: UInt32, _ method: String = "Check", extra: [(String, String)] = [],
    flags: UInt8 = Frame.endHeaders
  ) -> Frame {
    let fields =
      [
        (":method", "POST"), (":scheme", "http"), (":path", "/grpc.health.v1.Health/\(method)"),
        (":authority", "x"), ("te", "trailers"), ("content-type", "application/grpc"),
      ] + extra
    return Frame(
      kind: .headers, flags: flags, stream: stream, payload: fields.flatMap { literal($0.0, $0.1) })
  }

  private static func literal(_ name: String, _ value: String) -> [UInt8] {
    [0] + length(name.utf8.count) + name.utf8 + length(value.utf8.count) + value.utf8
  }

  /// RFC 7541, 5.1, with a prefix of seven bits.
  private static func length(_ count: Int) -> [UInt8] {
    if count < 127 { return [UInt8(count)] }
    var rest = count - 127
    var bytes: [UInt8] = [127]
    while rest >= 128 {
      bytes.append(UInt8(rest & 127 | 128))
      rest >>= 7
    }
    return bytes + [UInt8(rest)]
  }

  /// The message of a call that asks about the whole.
  static func request(_ stream: UInt32, endStream: Bool = true, _ message: [UInt8] = [0, 0, 0, 0, 0]) -> Frame
  {
    Frame(kind: .data, flags: endStream ? Frame.endStream : 0, stream: stream, payload: message)
  }

  /// The status that a call gets; nil if it gets none.
  func check(_ stream: UInt32) throws -> UInt8? {
    try send([Self.headers(stream), Self.request(stream)])
    return try next(.data, of: stream)?.payload.last
  }
}

func word(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) } }
