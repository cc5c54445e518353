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
    /// `-f` besides its name, for those that everybody types.
    var letter: Character?
  }

  /// Why the words are not accepted, and which of them it is about, from 0.
  struct Refused: Error {
    var place: Int
    var error: UsageError
  }

  /// In the order they were given. The value of one that takes none is empty. `place` is that of the word that ends it,
  /// from 0.
  private(set) var options: [(name: String, value: String, place: Int)] = []
  private(set) var operands: [String] = []

  /// `command` is for the hint in an error.
  init(_ words: some Sequence<String>, accepting forms: [Form], command: String) throws(UsageError) {
    do throws(Refused) {
      try self.init(reading: words, accepting: forms, command: command)
    } catch {
      throw error.error
    }
  }

  /// The same for words that stand in a file, where it matters which of them is wrong.
  init(reading words: some Sequence<String>, accepting forms: [Form], command: String) throws(Refused) {
    let known = Dictionary(forms.map { ($0.name, $0) }) { first, _ in first }
    let all = Array(words)
    var words = all[...]
    func refused(_ why: String) -> Refused {
      Refused(place: all.count - words.count - 1, error: UsageError(why))
    }
    while let word = words.popFirst() {
      if word == "--" {
        operands += words
        break
      }
      guard word.hasPrefix("-"), word != "-" else {
        operands.append(word)
        continue
      }
      let text = Self.long(word, forms)
      let name = String(text.drop { $0 == "-" }.prefix { $0 != "=" })
      let value = text.firstIndex(of: "=").map { String(text[text.index(after: $0)...]) }
      guard text.hasPrefix("--"), !text.hasPrefix("---"), let form = known[name] else {
        throw refused(Self.unknown(text, name: name, forms: forms, command: command))
      }
      func add(_ value: String) { options.append((name, value, all.count - words.count - 1)) }
      switch (form.takesValue, value) {
      case (false, nil): add(form.alone ?? "")
      case (false, let value?) where form.alone != nil: add(value)
      case (false, _?): throw refused("--\(name) takes no value")
      case (true, let value?): add(value)
      case (true, nil):
        guard let next = words.first else { throw refused("--\(name) needs a value") }
        if next.hasPrefix("--") {
          throw refused("--\(name) needs a value; one that begins with -- is written --\(name)=VALUE")
        }
        words.removeFirst()
        add(next)
      }
    }
  }

  /// `-h`, `-f` and `-f=VALUE` by their long names; other words as they are.
  private static func long(_ word: String, _ forms: [Form]) -> String {
    if word == "-h" { return "--help" }
    let letter = word.dropFirst()
    guard letter.count == 1 || letter.dropFirst().first == "=",
      let form = forms.first(where: { $0.letter != nil && $0.letter == letter.first })
    else { return word }
    return "--\(form.name)\(letter.dropFirst())"
  }

  func has(_ name: String) -> Bool { options.contains { $0.name == name } }

  /// The last value of an option, nil if it was not given.
  func value(_ name: String) -> String? { options.last { $0.name == name }?.value }

  private static func unknown(_ word: String, name: String, forms: [Form], command: String) -> String {
    // Without the part after "=": it may be a password behind a misspelt option.
    let shown = String(word.prefix { $0 != "=" }).quoted
    if let meant = nearest(to: name, among: forms.map(\.name)) {
      return "unknown option \(shown): did you mean --\(meant)?"
    }
    return "unknown option \(shown); \"warmgate help \(command)\" lists what there is"
  }
}
