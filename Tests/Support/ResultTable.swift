import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// A table of what tests have measured, printed when the process ends: whichever test comes last.
public final class ResultTable: Sendable {
  private let head: [String]
  private let rows = Mutex<[String]>([])
  private static let all = Mutex<[ResultTable]>([])

  /// The first column is text, the others are numbers.
  public init(_ head: [String]) { self.head = head }

  public func add(_ cells: [String]) {
    let isFirst = rows.withLock { rows in
      rows.append(Self.line(cells))
      return rows.count == 1
    }
    guard isFirst else { return }
    let isFirstTable = Self.all.withLock { all in
      all.append(self)
      return all.count == 1
    }
    if isFirstTable { atexit(printResultTables) }
  }

  private static func line(_ cells: [String]) -> String { "| \(cells.joined(separator: " | ")) |" }

  private var text: String {
    let rule = "|---|" + String(repeating: "--:|", count: head.count - 1)
    return ([Self.line(head), rule] + rows.withLock { $0 }).joined(separator: "\n")
  }

  fileprivate static func printAll() {
    for table in all.withLock({ $0 }) { print("\n" + table.text) }
    fflush(nil)
  }
}

/// Called by `exit`.
private func printResultTables() { ResultTable.printAll() }
