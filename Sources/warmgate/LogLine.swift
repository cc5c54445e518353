import Health

/// One event of the log, as text for people or as JSON for collectors. Always a single line.
struct LogLine: Hashable, Sendable {
  var time: Timestamp
  var level: LogLevel
  var message: String
  /// In this order. Values are strings, numbers, truth values, or arrays of them.
  var fields: [JSON.Member]

  /// What a pipe takes in one piece, so that lines never mix and a write never waits halfway (pipe(7), PIPE_BUF).
  static let longest = 4096

  /// The bytes to write, the line break included.
  func bytes(as format: LogFormat) -> [UInt8] {
    let line = Array((format == .json ? json : text).utf8)
    if line.count < Self.longest { return line + [0x0A] }
    // Still valid in its form: fields go first, then the end of the message.
    var shorter = self
    if let longest = fields.indices.max(by: {
      fields[$0].value.text.utf8.count < fields[$1].value.text.utf8.count
    }),
      fields[longest].value.text.utf8.count > 200
    {
      shorter.fields[longest].value = .string(fields[longest].value.plain.shortened(to: 80))
      return shorter.bytes(as: format)
    }
    if message.utf8.count > 400 {
      shorter.message = message.shortened(to: 200)
      return shorter.bytes(as: format)
    }
    shorter.fields.removeLast(max(1, shorter.fields.count / 2))
    return shorter.bytes(as: format)
  }

  private var json: String {
    JSON.object(
      [
        .init("time", .string(time.text)), .init("level", .string(level.rawValue)),
        .init("message", .string(message)),
      ] + fields
    ).text
  }

  /// `2026-11-21T02:20:50.123Z info  ready open=2 min=2`
  private var text: String {
    let head = "\(time.text) \(level.rawValue.padded(to: 5)) \(message.escapingControls)"
    return fields.reduce(head) { $0 + " \($1.name)=\($1.value.plain.asFieldValue)" }
  }
}

extension JSON {
  /// Without the quotes of JSON; the elements of an array with `; ` between.
  fileprivate var plain: String {
    switch self {
    case .string(let text): text
    case .array(let values): values.map(\.plain).joined(separator: "; ")
    default: text
    }
  }
}

extension String {
  /// In quotes if it would not be clear otherwise where it ends.
  fileprivate var asFieldValue: String {
    let needsQuotes =
      isEmpty || unicodeScalars.contains { $0 == " " || $0 == "\"" || $0 == "=" || $0.isControl }
    guard needsQuotes else { return self }
    return "\"\(replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").escapingControls)\""
  }

  fileprivate func shortened(to characters: Int) -> String {
    // By scalars: a single character can be of any length.
    String(String.UnicodeScalarView(unicodeScalars.prefix(characters))) + "…"
  }
}
