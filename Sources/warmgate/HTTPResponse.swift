/// An answer of a sidecar, read from the bytes that have arrived (RFC 9112).
struct HTTPResponse: Hashable, Sendable {
  var status: Int
  /// Names in lower case.
  var headers: [String: String]
  var body: String

  /// What arrived is not an HTTP answer, in a few words.
  struct Malformed: Error, Hashable, Sendable {
    let why: String
  }

  /// Far more than a sidecar ever says.
  static let longestHead = 64 * 1024
  static let longestBody = 4 * 1024 * 1024

  /// The first line of the body, where the verdict is.
  var firstLine: String {
    String(body.prefix { !$0.isNewline }).escapingControls
  }

  /// Nil while more has to come; `ended` says that nothing will.
  static func read(_ bytes: [UInt8], ended: Bool) throws(Malformed) -> HTTPResponse? {
    guard let end = endOfHead(bytes) else {
      if bytes.count > longestHead { throw Malformed(why: "its head is larger than 64 KiB") }
      if bytes.count >= 5, !bytes.starts(with: Array("HTTP/".utf8)) { throw Malformed(why: "it is not HTTP") }
      if ended { throw Malformed(why: bytes.isEmpty ? "it is empty" : "it ends in the middle") }
      return nil
    }
    var lines = String(decoding: bytes[..<end], as: UTF8.self).split(whereSeparator: \.isNewline)[...]
    let status = lines.popFirst().flatMap(statusCode)
    guard let status else { throw Malformed(why: "it is not HTTP") }
    var headers: [String: String] = [:]
    for line in lines {
      guard let colon = line.firstIndex(of: ":") else { continue }
      headers[line[..<colon].lowercased()] = String(line[line.index(after: colon)...].trimmingSpaces)
    }
    guard let body = try body(bytes[end...], headers: headers, ended: ended) else { return nil }
    return HTTPResponse(status: status, headers: headers, body: String(decoding: body, as: UTF8.self))
  }

  private static func endOfHead(_ bytes: [UInt8]) -> Int? {
    bytes.firstRange(of: [0x0D, 0x0A, 0x0D, 0x0A])?.upperBound
  }

  /// `HTTP/1.1 200 OK`.
  private static func statusCode(_ line: Substring) -> Int? {
    let words = line.split(separator: " ", maxSplits: 2)
    guard words.count >= 2, words[0].hasPrefix("HTTP/1."), words[1].utf8.count == 3,
      let status = UInt16(words[1]), status >= 100
    else { return nil }
    return Int(status)
  }

  private static func body(
    _ rest: ArraySlice<UInt8>, headers: [String: String], ended: Bool
  ) throws(Malformed) -> ArraySlice<UInt8>? {
    if let coding = headers["transfer-encoding"] {
      guard coding.lowercased() == "chunked" else { throw Malformed(why: "its transfer coding is unknown") }
      return try unchunked(rest, ended: ended)
    }
    if let text = headers["content-length"] {
      guard let length = Int(text), length >= 0 else {
        throw Malformed(why: "its Content-Length is no number")
      }
      if length > longestBody { throw Malformed(why: "it is larger than 4 MiB") }
      if rest.count >= length { return rest.prefix(length) }
      if ended { throw Malformed(why: "it ends in the middle") }
      return nil
    }
    if rest.count > longestBody { throw Malformed(why: "it is larger than 4 MiB") }
    return ended ? rest : nil
  }

  /// A sidecar gives a length; a proxy between may not (RFC 9112, 7.1). Trailers are ignored.
  private static func unchunked(
    _ chunks: ArraySlice<UInt8>, ended: Bool
  ) throws(Malformed) -> ArraySlice<UInt8>? {
    var rest = chunks
    var body: [UInt8] = []
    while let line = rest.firstRange(of: [0x0D, 0x0A]) {
      let digits = rest[..<line.lowerBound].prefix { $0 != UInt8(ascii: ";") }
      guard let size = Int(String(decoding: digits, as: UTF8.self).trimmingSpaces, radix: 16), size >= 0
      else {
        throw Malformed(why: "its chunks are not valid")
      }
      if size == 0 { return body[...] }
      if size > longestBody - body.count { throw Malformed(why: "it is larger than 4 MiB") }
      rest = rest[line.upperBound...]
      // The chunk and its line break.
      guard rest.count >= size + 2 else { break }
      body += rest.prefix(size)
      rest = rest.dropFirst(size + 2)
    }
    if ended { throw Malformed(why: "it ends in the middle") }
    return nil
  }
}

extension StringProtocol {
  /// Without blanks at either end.
  fileprivate var trimmingSpaces: SubSequence {
    var text = self[...]
    while text.first == " " || text.first == "\t" { text.removeFirst() }
    while text.last == " " || text.last == "\t" { text.removeLast() }
    return text
  }
}
