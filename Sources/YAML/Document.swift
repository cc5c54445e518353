/// Reads a stream of YAML documents (JSON is YAML too) without trusting it: what it takes is bounded, however few bytes
/// its aliases need to say it.
package enum Document {
  /// Values nested in each other, at most.
  package static let deepest = 100
  /// Values in all documents, those that an alias stands for counted again, at most.
  package static let mostNodes = 1_000_000

  /// Lines that begin with `%`, at most: libyaml compares each `%TAG` of a document with all before it.
  package static let mostDirectives = 100

  /// The documents in order, without those that hold nothing.
  package static func all(in bytes: [UInt8]) throws(YAMLError) -> [Node] {
    try countDirectives(in: bytes)
    var reader = Reader(events: try Events(bytes))
    return try reader.documents()
  }
}

extension Document {
  private static func countDirectives(in bytes: [UInt8]) throws(YAMLError) {
    var (line, count) = (1, 0)
    var previous = UInt8(ascii: "\n")
    for byte in bytes {
      let begins = previous == UInt8(ascii: "\n") || previous == UInt8(ascii: "\r")
      if begins, byte == UInt8(ascii: "%") {
        count += 1
        if count > mostDirectives {
          throw YAMLError(
            line: line, why: "more than \(mostDirectives) lines begin with %, which are directives")
        }
      }
      if byte == UInt8(ascii: "\n") { line += 1 }
      previous = byte
    }
  }
}

/// A node, and how many there are below it, aliases followed, itself counted.
private struct Counted {
  var node: Node
  var count: Int
}

private struct Reader: ~Copyable {
  private var events: Events
  private var anchors: [String: Counted] = [:]
  private var count = 0

  init(events: consuming Events) { self.events = events }

  mutating func documents() throws(YAMLError) -> [Node] {
    var documents: [Node] = []
    while true {
      let (event, _) = try events.next()
      switch event {
      case .streamEnd: return documents
      case .documentStart:
        anchors = [:]
        let (event, line) = try events.next()
        let root = try node(event, line, depth: 1).node
        if !root.isNull { documents.append(root) }
      default: break
      }
    }
  }

  private mutating func node(_ event: Events.Event, _ line: Int, depth: Int) throws(YAMLError) -> Counted {
    guard depth <= Document.deepest else {
      throw YAMLError(line: line, why: "nested deeper than \(Document.deepest) levels")
    }
    try add(1, line)
    switch event {
    case .scalar(let text, let anchor):
      return remember(anchor, Node(content: .scalar(Scalar(text)), line: line), 1)
    case .alias(let name):
      // An anchor is known when its value is complete, so nothing can hold itself.
      guard let meant = anchors[name] else {
        throw YAMLError(line: line, why: "the alias \"*\(name)\" names no anchor before it")
      }
      try add(meant.count - 1, line)
      return meant
    case .sequenceStart(let anchor):
      var nodes: [Node] = []
      var below = 1
      while true {
        let (event, line) = try events.next()
        if case .sequenceEnd = event { break }
        let next = try node(event, line, depth: depth + 1)
        nodes.append(next.node)
        below += next.count
      }
      return remember(anchor, Node(content: .sequence(nodes), line: line), below)
    case .mappingStart(let anchor):
      let (members, below) = try members(depth: depth)
      return remember(anchor, Node(content: .mapping(members), line: line), below)
    default:
      throw YAMLError(line: line, why: "not YAML: a value is missing")
    }
  }

  private mutating func add(_ more: Int, _ line: Int) throws(YAMLError) {
    count += more
    guard count <= Document.mostNodes else {
      throw YAMLError(line: line, why: "more than \(Document.mostNodes) values, aliases followed")
    }
  }

  private mutating func remember(_ anchor: String?, _ node: Node, _ count: Int) -> Counted {
    let counted = Counted(node: node, count: count)
    if let anchor { anchors[anchor] = counted }
    return counted
  }

  private mutating func members(depth: Int) throws(YAMLError) -> (members: [Node.Member], count: Int) {
    var members: [Node.Member] = []
    var merged: [Node.Member] = []
    var lines: [String: Int] = [:]
    var below = 1
    while true {
      let (event, line) = try events.next()
      if case .mappingEnd = event { break }
      let key = try node(event, line, depth: depth + 1)
      let (next, nextLine) = try events.next()
      let value = try node(next, nextLine, depth: depth + 1)
      below += key.count + value.count
      guard case .scalar(let scalar) = key.node.content else {
        throw YAMLError(line: line, why: "a key must be a word, not a list or a mapping")
      }
      if case .scalar(let written, _) = event, written.text == "<<", written.isPlain, written.tag == nil {
        merged += try Self.merged(value.node, line)
        continue
      }
      if let first = lines.updateValue(line, forKey: scalar.text) {
        throw YAMLError(line: line, why: "\"\(scalar.text)\" is given twice, first on line \(first)")
      }
      members.append(Node.Member(key: scalar.text, line: line, value: value.node))
    }
    // What is written in the mapping itself wins over what it merges, the first merged over the others.
    for member in merged where lines.updateValue(member.line, forKey: member.key) == nil {
      members.append(member)
    }
    return (members, below)
  }

  /// Of a merge key's value: a mapping, or a list of mappings.
  private static func merged(_ node: Node, _ line: Int) throws(YAMLError) -> [Node.Member] {
    switch node.content {
    case .mapping(let members): return members
    case .sequence(let nodes):
      var all: [Node.Member] = []
      for node in nodes {
        guard case .mapping(let members) = node.content else {
          throw YAMLError(line: line, why: "\"<<\" merges mappings, nothing else")
        }
        all += members
      }
      return all
    default: throw YAMLError(line: line, why: "\"<<\" merges mappings, nothing else")
    }
  }
}
