import Testing

@Suite struct ExamplesTests {
  @Test("every example that is shown is compiled and run as it is shown, and no other")
  func same() throws {
    let shown = try Documentation.shown()
    let compiled = try Documentation.compiled()
    #expect(shown.count > 20)
    for example in shown where !compiled.contains(where: { $0.code == example.code }) {
      Issue.record("\(example.place) is not in Tests/WarmPoolTests/Examples:\n\(example.code)")
    }
    for example in compiled where !shown.contains(where: { $0.code == example.code }) {
      Issue.record("\(example.place) is shown nowhere:\n\(example.code)")
    }
  }
}
