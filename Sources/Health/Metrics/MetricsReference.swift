/// What `/metrics` tells, for help and the README.
public enum MetricsReference {
  /// Each metric with its labels, its kind, and what it means.
  public static var rows: [(title: String, kind: String, meaning: String)] {
    MetricsTable.all.map { ($0.title, $0.kind.rawValue, $0.help) }
  }

  /// The table for the README.
  public static var markdown: String {
    "| metric | type | meaning |\n|---|---|---|\n"
      + rows.map { "| `\($0.title)` | \($0.kind) | \($0.meaning) |\n" }.joined()
  }
}
