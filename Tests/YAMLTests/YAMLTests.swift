import Testing

@testable import YAML

@Suite struct YAMLTests {
  private func documents(_ text: String) throws(YAMLError) -> [Node] {
    try Document.all(in: Array(text.utf8))
  }

  private func scalar(_ text: String) throws -> Scalar.Value? {
    guard case .scalar(let scalar)? = try documents("a: \(text)\n").first?.member("a")?.value.content else {
      return nil
    }
    return scalar.value
  }

  @Test(
    "scalars are what Kubernetes takes them for",
    arguments: [
      ("3", .int(3)), ("-3", .int(-3)), ("+5", .int(5)), ("0", .int(0)), ("0444", .int(292)),
      ("0o17", .int(15)),
      ("0x1F", .int(31)), ("0b101", .int(5)), ("1_000", .int(1000)), ("3.0", .int(3)), ("1e3", .int(1000)),
      ("089", .int(89)), ("9223372036854775807", .int(.max)), ("1e300", .number(1e300)),
      ("0.5", .number(0.5)),
      (".5", .number(0.5)), ("-1.5e-3", .number(-0.0015)), (".inf", .number(.infinity)),
      ("yes", .bool(true)), ("On", .bool(true)), ("y", .bool(true)), ("false", .bool(false)),
      ("NO", .bool(false)),
      ("~", .null), ("null", .null), ("", .null),
      ("ten", .text("ten")), ("\"3\"", .text("3")), ("'yes'", .text("yes")), ("!!str 3", .text("3")),
      ("!!int \"3\"", .int(3)), ("!thing 3", .text("3")), ("25%", .text("25%")), ("1.2.3", .text("1.2.3")),
      ("--5", .text("--5")), ("0x", .text("0x")), ("+", .text("+")), (".", .text(".")), ("e5", .text("e5")),
      ("5e", .text("5e")), ("10s", .text("10s")), ("0x-5", .text("0x-5")), ("|\n  x", .text("x\n")),
      ("99999999999999999999", .number(1e20)),
    ] as [(String, Scalar.Value?)])
  func scalars(text: String, value: Scalar.Value?) throws {
    #expect(try scalar(text) == value)
  }

  @Test("a value's line is that of its key, in each document")
  func lines() throws {
    let all = try documents("# one\na:\n  b: 1\n---\n---\n{\"c\": [1,\n 2]}\n")
    #expect(all.count == 2)
    #expect(all[0].member("a")?.value.member("b")?.line == 3)
    #expect(all[1].member("c")?.line == 6)
    guard case .sequence(let items)? = all[1].member("c")?.value.content else {
      Issue.record("no list")
      return
    }
    #expect(items.map(\.line) == [6, 7])
  }

  @Test("aliases stand for what they name, and merged keys give way to written ones")
  func aliases() throws {
    let root = try #require(
      try documents("base: &b {x: 1, y: 2}\none: *b\ntwo:\n  <<: [*b, {y: 3, z: 4}]\n  x: 5\n").first)
    func int(_ path: String...) -> Int? {
      var node: Node? = root
      for key in path { node = node?.member(key)?.value }
      guard case .scalar(let scalar)? = node?.content, case .int(let number) = scalar.value else {
        return nil
      }
      return number
    }
    #expect(int("one", "y") == 2)
    #expect([int("two", "x"), int("two", "y"), int("two", "z")] == [5, 2, 4])
    // A quoted one is a key like any other.
    #expect(try documents("a: {\"<<\": 1}").first?.member("a")?.value.member("<<") != nil)
  }

  @Test(
    "what cannot be read is said with its line",
    arguments: [
      ("a: 1\nb: [1\n", 3, "not YAML: did not find expected ',' or ']'"),
      ("a: @b\n", 1, "not YAML: found character that cannot start any token"),
      ("a: 1\na: 2\n", 2, "\"a\" is given twice, first on line 1"),
      ("a: 1\n[b]: 2\n", 2, "a key must be a word, not a list or a mapping"),
      ("a: 1\nb: *c\n", 2, "the alias \"*c\" names no anchor before it"),
      ("a: &a\n  b: *a\n", 2, "the alias \"*a\" names no anchor before it"),
      ("a: 1\n<<: 5\n", 2, "\"<<\" merges mappings, nothing else"),
      ("a: 1\n\u{1}", 2, "not YAML: control characters are not allowed"),
    ])
  func refused(text: String, line: Int, why: String) {
    #expect(throws: YAMLError(line: line, why: why)) { try documents(text) }
  }

  @Test("bytes that are no text are refused where they are")
  func bytes() {
    #expect(throws: YAMLError(line: 2, why: "not YAML: invalid leading UTF-8 octet")) {
      try Document.all(in: Array("a: 1\nb: ".utf8) + [0xFF, 0xFE])
    }
  }

  @Test("nothing is nothing, and a byte order mark or UTF-16 is no trouble")
  func encodings() throws {
    #expect(try documents("").isEmpty)
    #expect(try documents("# only a comment\n---\n...\n").isEmpty)
    #expect(try documents("\u{FEFF}a: 1\n").first?.member("a") != nil)
    #expect(try Document.all(in: [0xFF, 0xFE, 0x61, 0, 0x3A, 0, 0x20, 0, 0x31, 0]).first?.member("a") != nil)
  }

  @Test("aliases that would explode are counted, not followed")
  func bomb() {
    var text = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    for level in 1...40 {
      let list = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
      text += "a\(level): &a\(level) [\(list)]\n"
    }
    #expect(throws: YAMLError(line: 6, why: "more than 1000000 values, aliases followed")) {
      try documents(text)
    }
    var merges = "a0: &a0 {x: 1}\n"
    for level in 1...40 {
      let list = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
      merges += "a\(level): &a\(level) {<<: [\(list)]}\n"
    }
    #expect(throws: YAMLError.self) { try documents(merges) }
  }

  @Test("depth is bounded, in flow and in block style", arguments: ["[", "{a: ", "- ", "? "])
  func depth(opening: String) {
    let text = String(repeating: opening, count: 100_000)
    #expect(throws: YAMLError(line: 1, why: "nested deeper than 100 levels")) { try documents(text) }
  }

  @Test("directives are few, and a number is not endless: libyaml and Swift would take minutes for them")
  func directives() throws {
    let many = (1...200).map { "%TAG !a\($0)! x\n" }.joined() + "--- {a: 1}\n"
    #expect(throws: YAMLError(line: 101, why: "more than 100 lines begin with %, which are directives")) {
      try documents(many)
    }
    #expect(try documents("%YAML 1.1\n%TAG ! x\n---\na: 1\n").count == 1)
    let digits = String(repeating: "9", count: 1_000_000)
    #expect(try scalar(digits) == .text(digits))
  }

  @Test("a hundred thousand plain values are read")
  func size() throws {
    let text = (0..<100_000).map { "k\($0): \($0)\n" }.joined()
    guard case .mapping(let members)? = try documents(text).first?.content else {
      Issue.record("no mapping")
      return
    }
    #expect(members.count == 100_000)
  }
}
