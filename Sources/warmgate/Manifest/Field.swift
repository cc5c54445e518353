import YAML

/// A value of a manifest with the way to it, so that what is wrong with it can be said with its place.
struct Field {
  let node: Node
  /// `spec.template.spec.containers[0]`.
  let path: String
  /// Its key's.
  let line: Int

  init(_ node: Node, path: String, line: Int) {
    self.node = node
    self.path = path
    self.line = line
  }

  func error(_ why: String) -> YAMLError { YAMLError(line: line, why: "\(path.shown): \(why)") }

  private func wrong(_ wanted: String) -> YAMLError { error("\(found) is there: give \(wanted)") }

  /// What is there, for an error.
  private var found: String {
    switch node.content {
    case .mapping: "a mapping"
    case .sequence: "a list"
    case .scalar(let scalar): scalar.text.quoted
    }
  }

  /// Nil where there is none, or null. Throws if this is no mapping.
  func member(_ key: String) throws(YAMLError) -> Field? {
    guard case .mapping = node.content else { throw wrong("a mapping") }
    guard let member = node.member(key), !member.value.isNull else { return nil }
    return Field(member.value, path: path.isEmpty ? key : "\(path).\(key)", line: member.line)
  }

  /// Through mappings, as far as they are there.
  func member(at keys: String...) throws(YAMLError) -> Field? {
    var field = self
    for key in keys {
      guard let next = try field.member(key) else { return nil }
      field = next
    }
    return field
  }

  func needed(_ key: String) throws(YAMLError) -> Field {
    guard let field = try member(key) else { throw error("has no \(key)") }
    return field
  }

  /// Empty where there is none.
  func list(_ key: String) throws(YAMLError) -> [Field] {
    guard let field = try member(key) else { return [] }
    guard case .sequence(let nodes) = field.node.content else { throw field.wrong("a list") }
    return nodes.enumerated().map { Field($1, path: "\(field.path)[\($0)]", line: $1.line) }
  }

  /// All members that are not null; empty where there is none.
  func members(_ key: String) throws(YAMLError) -> [(key: String, value: Field)] {
    guard let field = try member(key) else { return [] }
    guard case .mapping(let members) = field.node.content else { throw field.wrong("a mapping") }
    return members.filter { !$0.value.isNull }.map {
      ($0.key, Field($0.value, path: "\(field.path).\($0.key)", line: $0.line))
    }
  }

  var text: Placed<String> {
    get throws(YAMLError) {
      guard case .scalar(let scalar) = node.content else { throw wrong("a text") }
      switch scalar.value {
      case .text(let text): return Placed(text, line)
      // Kubernetes refuses it as well. It may be a password, so it is not shown.
      case .null: throw error("nothing is there: give a text")
      case .bool: throw error("true, yes and the like are no text to Kubernetes: put it in quotes")
      default: throw error("a number is no text to Kubernetes: put it in quotes")
      }
    }
  }

  func text(_ key: String) throws(YAMLError) -> Placed<String>? { try member(key)?.text }

  func int(_ key: String, _ range: ClosedRange<Int> = 0...Int(Int32.max)) throws(YAMLError) -> Placed<Int>? {
    guard let field = try member(key) else { return nil }
    return Placed(try field.int(in: range), field.line)
  }

  func int(in range: ClosedRange<Int>) throws(YAMLError) -> Int {
    guard case .scalar(let scalar) = node.content, case .int(let number) = scalar.value,
      range.contains(number)
    else { throw wrong("a whole number from \(range.lowerBound) to \(range.upperBound), without quotes") }
    return number
  }

  /// Of pods: a number, or a text such as 25%.
  func podCount(_ key: String, atMost most: Int) throws(YAMLError) -> Placed<PodCount>? {
    guard let field = try member(key) else { return nil }
    guard case .scalar(let scalar) = field.node.content else { throw field.wrong("a number or a share") }
    switch scalar.value {
    case .int(let number) where (0...RolloutPlan.mostPods).contains(number):
      return Placed(.number(number), field.line)
    case .text(let text):
      guard case .percent(let share)? = try? ValueKind<PodCount>.podCount.read(text), share <= most else {
        throw field.wrong("a number of pods such as 1, or a share from 0% to \(most)%")
      }
      return Placed(.percent(share), field.line)
    default: throw field.wrong("a number of pods such as 1, or a share such as 25%")
    }
  }

  /// A number, or a name.
  func port(_ key: String) throws(YAMLError) -> Placed<PortReference>? {
    guard let field = try member(key) else { return nil }
    if case .scalar(let scalar) = field.node.content, case .text(let name) = scalar.value {
      return Placed(.name(name), field.line)
    }
    return Placed(.number(try field.int(in: 1...65535)), field.line)
  }
}

/// A value and the line that says it.
struct Placed<Value: Sendable & Hashable>: Sendable, Hashable {
  var value: Value
  var line: Int

  init(_ value: Value, _ line: Int) {
    self.value = value
    self.line = line
  }
}

/// How a probe or a hook names a port.
enum PortReference: Hashable, Sendable {
  case number(Int)
  case name(String)
}

extension String {
  /// A name from a manifest as it may be shown: no line break, not endless.
  var shown: String { shown(atMost: 120) }

  func shown(atMost length: Int) -> String {
    let text = escapingControls
    return text.count > length ? text.prefix(length - 1) + "…" : text
  }
}
