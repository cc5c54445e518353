/// Why a text cannot be read, and where.
package struct YAMLError: Error, Hashable, Sendable {
  /// From 1.
  package let line: Int
  /// What is wrong, without the line.
  package let why: String

  package init(line: Int, why: String) {
    self.line = line
    self.why = why
  }
}
