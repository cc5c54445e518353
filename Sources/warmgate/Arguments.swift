/// The words after a command: options, each with its value, and operands.
///
/// Read by hand and not with getopt_long: that one keeps its place in global variables, takes `--min` for
/// `--min-connections` as long as nothing else begins that way (so that a later version's new option breaks a
/// manifest), and cannot say which spelling was meant.
struct Arguments: Sendable {
  /// What an option looks like: `--name`, or `--name VALUE`.
  struct Form: Hashable, Sendable {
    var name: String
    var takesValue: Bool
    /// One that takes none may still be given a value, with `=`; alone it has this one.
    var alone: String?
  }

  /// In the order they were given. The value of one that takes none is empty.
  private(set) var options: [(name: String, value: String)] = []
  private(set) var operands: [String] = []

  /// `command` is for the hint in an error.
  init(_ words: some Sequence<String>, accepting forms: [Form], command: String) throws(UsageError) {
    let known = Dictionary(forms.map { ($0.name, $0) }) { first, _ in first }
    var words = Array(words)[...]
    while let word = words.popFirst() {
      if word == "--" {
        operands += words
        break
      }
      guard word.hasPrefix("-"), word != "-" else {
        operands.append(word)
        continue
      }
      let text = word == "-h" ? "--help" : word
      let name = String(text.drop { $0 == "-" }.prefix { $0 != "=" })
      let value = text.firstIndex(of: "=").map { String(text[text.index(after: $0)...]) }
      guard text.hasPrefix("--"), !text.hasPrefix("---"), let form = known[name] else {
        throw Self.unknown(text, name: name, forms: forms, command: command)
      }
      switch (form.takesValue, value) {
      case (false, nil): options.append((name, form.alone ?? ""))
      case (false, let value?) where form.alone != nil: options.append((name, value))
      case (false, _?): throw UsageError("--\(name) takes no value")
      case (true, let value?): options.append((name, value))
      case (true, nil):
        guard let next = words.popFirst() else { throw UsageError("--\(name) needs a value") }
        if next.hasPrefix("--") {
          throw UsageError("--\(name) needs a value; one that begins with -- is written --\(name)=VALUE")
        }
        options.append((name, next))
      }
    }
  }

  func has(_ name: String) -> Bool { options.contains { $0.name == name } }

  /// The last value of an option, nil if it was not given.
  func value(_ name: String) -> String? { options.last { $0.name == name }?.value }

  private static func unknown(_ word: String, name: String, forms: [Form], command: String) -> UsageError {
    // Without the part after "=": it may be a password behind a misspelt option.
    let shown = String(word.prefix { $0 != "=" }).quoted
    if let meant = nearest(to: name, among: forms.map(\.name)) {
      return UsageError("unknown option \(shown): did you mean --\(meant)?")
    }
    return UsageError("unknown option \(shown); \"warmgate help \(command)\" lists what there is")
  }
}
