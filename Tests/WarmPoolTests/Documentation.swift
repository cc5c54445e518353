import Foundation

/// The Swift that is shown to readers (in the README, the articles, the doc comments), and the pieces between two lines
/// of dashes in `Examples/`, which are compiled and run. The one has to be the other.
enum Documentation {
  struct Example {
    /// File and line.
    var place: String
    var code: String
  }

  private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()
  private static let catalogue = "Sources/WarmPool/WarmPool.docc"

  static func shown() throws -> [Example] {
    let texts = try [root.appendingPathComponent("README.md")] + files(catalogue, ".md")
    let fenced = try texts.flatMap { file in
      try pieces(of: file, from: { $0 == "```swift" }, to: { $0 == "```" })
    }
    // What `import WarmPool` brings along.
    let sources = try ["WarmPool", "Postgres", "PoolCore"].flatMap { try files("Sources/\($0)", ".swift") }
    return try fenced + sources.flatMap(commented)
  }

  static func compiled() throws -> [Example] {
    func isMark(_ line: String) -> Bool { line.trimmingCharacters(in: .whitespaces) == "// ----" }
    return try files("Tests/WarmPoolTests/Examples", ".swift").flatMap { file in
      try pieces(of: file, from: isMark, to: isMark)
    }
  }

  static func article(_ name: String) throws -> String {
    try String(contentsOf: root.appendingPathComponent("\(catalogue)/\(name).md"), encoding: .utf8)
  }

  // MARK: - Finding them

  /// What stands between lines of two kinds, without the indentation that all of it has.
  private static func pieces(
    of file: URL, from isBegin: (String) -> Bool, to isEnd: (String) -> Bool
  ) throws -> [Example] {
    var found: [Example] = []
    var begun: Int?
    var piece: [String] = []
    for (index, line) in try lines(of: file).enumerated() {
      if let first = begun {
        if isEnd(line) {
          found.append(Example(place: place(file, first), code: flush(piece)))
          begun = nil
        } else {
          piece.append(line)
        }
      } else if isBegin(line) {
        (begun, piece) = (index + 1, [])
      }
    }
    return found
  }

  /// Lines of a doc comment that are indented as code, the first of them after an empty one: continued lines of a list
  /// are indented too.
  private static func commented(in file: URL) throws -> [Example] {
    var found: [Example] = []
    var isCode = false
    var before = ""
    for (index, line) in try lines(of: file).enumerated() {
      let line = line.trimmingCharacters(in: .whitespaces)
      let code = line.hasPrefix("///     ") ? String(line.dropFirst(8)) : nil
      if let code, isCode {
        found[found.count - 1].code += "\n\(code)"
      } else if let code, before == "///" {
        found.append(Example(place: place(file, index), code: code))
        isCode = true
      } else {
        isCode = false
      }
      before = line
    }
    return found
  }

  private static func flush(_ lines: [String]) -> String {
    let indentation = lines.filter { !$0.isEmpty }.map { $0.prefix { $0 == " " }.count }.min() ?? 0
    return lines.map { String($0.dropFirst(indentation)) }.joined(separator: "\n")
  }

  private static func place(_ file: URL, _ index: Int) -> String { "\(file.lastPathComponent):\(index + 1)" }

  private static func lines(of file: URL) throws -> [String] {
    try String(contentsOf: file, encoding: .utf8).components(separatedBy: "\n")
  }

  private static func files(_ folder: String, _ ending: String) throws -> [URL] {
    let folder = root.appendingPathComponent(folder)
    return try FileManager.default.subpathsOfDirectory(atPath: folder.path).filter { $0.hasSuffix(ending) }
      .sorted().map { folder.appendingPathComponent($0) }
  }
}
