import CLibyaml

/// What libyaml finds in a text, one piece after the other. Owns the parser and the bytes it reads: everything unsafe
/// about libyaml is in here.
struct Events: ~Copyable {
  enum Event {
    case streamStart, streamEnd, documentStart, documentEnd
    case alias(String)
    case scalar(Text, anchor: String?)
    case sequenceStart(anchor: String?)
    case mappingStart(anchor: String?)
    case sequenceEnd, mappingEnd
  }

  /// A scalar as it was written.
  struct Text {
    var text: String
    var isPlain: Bool
    var tag: String?
  }

  // The parser keeps a pointer to itself, so it must not move.
  private let parser: UnsafeMutablePointer<yaml_parser_t>
  private let bytes: UnsafeMutableBufferPointer<UInt8>

  init(_ input: [UInt8]) throws(YAMLError) {
    bytes = .allocate(capacity: input.count)
    _ = bytes.initialize(from: input)
    parser = .allocate(capacity: 1)
    parser.initialize(to: yaml_parser_t())
    guard yaml_parser_initialize(parser) == 1 else {
      parser.deallocate()
      bytes.deallocate()
      throw YAMLError(line: 1, why: "there is no memory to read it with")
    }
    yaml_parser_set_input_string(parser, bytes.baseAddress, bytes.count)
  }

  deinit {
    yaml_parser_delete(parser)
    parser.deallocate()
    bytes.deallocate()
  }

  /// With the line on which it begins, from 1. Not to be called after `streamEnd`.
  mutating func next() throws(YAMLError) -> (event: Event, line: Int) {
    var raw = yaml_event_t()
    guard yaml_parser_parse(parser, &raw) == 1 else { throw failure }
    defer { yaml_event_delete(&raw) }
    return (Self.event(raw), Self.line(raw.start_mark))
  }

  private static func event(_ raw: yaml_event_t) -> Event {
    switch raw.type {
    case YAML_STREAM_START_EVENT: .streamStart
    case YAML_DOCUMENT_START_EVENT: .documentStart
    case YAML_DOCUMENT_END_EVENT: .documentEnd
    case YAML_ALIAS_EVENT: .alias(text(raw.data.alias.anchor) ?? "")
    case YAML_SCALAR_EVENT: scalar(raw)
    case YAML_SEQUENCE_START_EVENT: .sequenceStart(anchor: text(raw.data.sequence_start.anchor))
    case YAML_SEQUENCE_END_EVENT: .sequenceEnd
    case YAML_MAPPING_START_EVENT: .mappingStart(anchor: text(raw.data.mapping_start.anchor))
    case YAML_MAPPING_END_EVENT: .mappingEnd
    default: .streamEnd  // And YAML_NO_EVENT, which libyaml gives after the end.
    }
  }

  private static func scalar(_ raw: yaml_event_t) -> Event {
    let scalar = raw.data.scalar
    // It may hold a zero byte, so its length counts.
    let text = String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
    let isPlain = scalar.style == YAML_PLAIN_SCALAR_STYLE
    return .scalar(
      Text(text: text, isPlain: isPlain, tag: Self.text(scalar.tag)), anchor: Self.text(scalar.anchor))
  }

  private static func text(_ string: UnsafePointer<yaml_char_t>?) -> String? {
    string.map { String(cString: $0) }
  }

  private static func line(_ mark: yaml_mark_t) -> Int { Int(clamping: mark.line) + 1 }

  /// Why the parser has stopped.
  private var failure: YAMLError {
    let problem = parser.pointee.problem.map { String(cString: $0) } ?? "it cannot be read"
    switch parser.pointee.error {
    case YAML_MEMORY_ERROR: return YAMLError(line: 1, why: "there is no memory to read it with")
    case YAML_READER_ERROR:
      // Only an offset says where.
      let before = bytes.prefix(Int(clamping: parser.pointee.problem_offset))
      return YAMLError(line: before.count { $0 == 0x0A } + 1, why: "not YAML: \(problem)")
    default: return YAMLError(line: Self.line(parser.pointee.problem_mark), why: "not YAML: \(problem)")
    }
  }
}
