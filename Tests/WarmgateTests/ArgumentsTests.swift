import Testing

@testable import warmgate

@Suite struct ArgumentsTests {
  private func parse(_ words: String...) throws -> Arguments {
    let forms = [
      Arguments.Form(name: "min-connections", takesValue: true),
      Arguments.Form(name: "probe-query", takesValue: true), Arguments.Form(name: "json", takesValue: false),
      Arguments.Form(name: "help", takesValue: false),
    ]
    return try Arguments(words, accepting: forms, command: "serve")
  }

  private func refusal(_ words: String...) -> String? {
    do {
      let forms = [
        Arguments.Form(name: "min-connections", takesValue: true),
        Arguments.Form(name: "max-connections", takesValue: true),
        Arguments.Form(name: "json", takesValue: false),
      ]
      _ = try Arguments(words, accepting: forms, command: "serve")
      return nil
    } catch { return error.description }
  }

  @Test("a value follows its option or stands behind an equals sign, and the last one counts")
  func values() throws {
    #expect(try parse("--min-connections", "3").value("min-connections") == "3")
    #expect(try parse("--min-connections=3").value("min-connections") == "3")
    #expect(try parse("--min-connections=3", "--min-connections", "4").value("min-connections") == "4")
    #expect(try parse("--probe-query=select a=b").value("probe-query") == "select a=b")
    #expect(try parse("--probe-query=").value("probe-query") == "")
    #expect(try parse("--probe-query", "-1").value("probe-query") == "-1")
    #expect(try parse().value("probe-query") == nil)
  }

  @Test("options and operands mix in any order, and -- ends the options")
  func operands() throws {
    let arguments = try parse("ready", "--json", "-", "--", "--json", "x")
    #expect(arguments.has("json"))
    #expect(arguments.operands == ["ready", "-", "--json", "x"])
    #expect(try parse("-h").has("help"))
  }

  @Test("an option may have a letter, alone or before an equals sign, and nothing else")
  func letters() throws {
    let forms = [Arguments.Form(name: "filename", takesValue: true, letter: "f")]
    func value(_ words: String...) -> String? {
      (try? Arguments(words, accepting: forms, command: "plan"))?.value("filename")
    }
    #expect(value("-f", "x.yaml") == "x.yaml")
    #expect(value("-f", "-") == "-")
    #expect(value("-f=x.yaml") == "x.yaml")
    #expect(value("-fx.yaml") == nil && value("-filename", "x") == nil && value("-f") == nil)
  }

  @Test("words that stand in a file are refused with their place, and options know theirs")
  func places() throws {
    let forms = [
      Arguments.Form(name: "min", takesValue: true), Arguments.Form(name: "json", takesValue: false),
    ]
    func place(_ words: String...) -> Int? {
      do throws(Arguments.Refused) {
        _ = try Arguments(reading: words, accepting: forms, command: "serve")
        return nil
      } catch { return error.place }
    }
    #expect(place("--json", "--min", "3", "--mni=3", "x") == 3)
    #expect(place("--json", "--min") == 1)
    #expect(place("--min", "--json") == 0)
    #expect(place("--json=1") == 0)
    let words = ["--json", "--min", "3", "x", "--min=4"]
    let arguments = try Arguments(reading: words, accepting: forms, command: "serve")
    #expect(arguments.options.map(\.place) == [0, 2, 4])
  }

  @Test("an abbreviation is refused, with the full name")
  func abbreviations() {
    #expect(refusal("--min", "3") == "unknown option \"--min\": did you mean --min-connections?")
    #expect(
      refusal("--min-connection=3") == "unknown option \"--min-connection\": did you mean --min-connections?")
    #expect(refusal("--js") == "unknown option \"--js\": did you mean --json?")
  }

  @Test(
    "what is no option of the command is named in one line, without its value",
    arguments: [
      ("--mni-connections=3", "unknown option \"--mni-connections\": did you mean --min-connections?"),
      ("--passwort=geheim", "unknown option \"--passwort\"; \"warmgate help serve\" lists what there is"),
      ("-x", "unknown option \"-x\"; \"warmgate help serve\" lists what there is"),
      ("-json", "unknown option \"-json\": did you mean --json?"),
      ("---json", "unknown option \"---json\": did you mean --json?"),
      ("--json=1", "--json takes no value"),
      ("--min-connections", "--min-connections needs a value"),
      ("--\u{1B}[31m", "unknown option \"--\\u{1b}[31m\"; \"warmgate help serve\" lists what there is"),
    ])
  func unknown(word: String, text: String) {
    #expect(refusal(word) == text)
  }

  @Test("an option is not taken for the value of the one before it")
  func missingValue() {
    #expect(
      refusal("--min-connections", "--json")
        == "--min-connections needs a value; one that begins with -- is written --min-connections=VALUE")
  }
}

@Suite struct NearestTests {
  @Test("insertions, removals, replacements and swaps of neighbours each count one")
  func distance() {
    #expect(editDistance("drain", "drain") == 0)
    #expect(editDistance("drian", "drain") == 1)
    #expect(editDistance("drin", "drain") == 1)
    #expect(editDistance("draain", "drain") == 1)
    #expect(editDistance("trains", "drain") == 2)
    #expect(editDistance("", "wait") == 4)
  }

  @Test("a spelling that is far from everything has no neighbour")
  func far() {
    #expect(nearest(to: "deploy", among: ["serve", "wait", "probe"]) == nil)
    #expect(nearest(to: "", among: ["serve"]) == nil)
    #expect(nearest(to: "resmue", among: ["serve", "resume"]) == "resume")
    #expect(nearest(to: String(repeating: "x", count: 100_000), among: ["serve"]) == nil)
  }
}
