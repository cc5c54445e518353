import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// One line for each fault, printed as a table when the process ends: whichever test comes last.
enum ChaosTable {
  private static let rows = Mutex<[String]>([])

  static func add(
    _ name: String, succeeded: Int, failed: Int, firstSuccess: String?, floor: String?, longest: String
  ) {
    let row =
      "| \(name) | \(succeeded) | \(failed) | \(firstSuccess ?? "–") | \(floor ?? "–") | \(longest) |"
    let isFirst = rows.withLock { rows in
      rows.append(row)
      return rows.count == 1
    }
    if isFirst { atexit(printChaosTable) }
  }

  fileprivate static var text: String {
    ([
      "| fault | calls answered | failed | next success after | floor after | longest call |",
      "|---|--:|--:|--:|--:|--:|",
    ]
      + rows.withLock { $0 }).joined(separator: "\n")
  }
}

/// Called by `exit`.
private func printChaosTable() {
  print("\n" + ChaosTable.text)
  fflush(nil)
}
