import Support

/// One line for each fault.
enum ChaosTable {
  private static let table = ResultTable([
    "fault", "calls answered", "failed", "next success after", "floor after", "longest call",
  ])

  static func add(
    _ name: String, succeeded: Int, failed: Int, firstSuccess: String?, floor: String?, longest: String
  ) {
    table.add([name, "\(succeeded)", "\(failed)", firstSuccess ?? "–", floor ?? "–", longest])
  }
}
