import FleetSim
import PoolCore

/// What a simulation has shown, as people read it: what was simulated, and a row for each strategy.
struct SimulationReport: Sendable {
  var setup: Setup
  var outcomes: [Outcome]

  /// What is compared: a name, how it is shown, and a number that is better the smaller it is; nil is worst.
  private struct Column: Sendable {
    let title: String
    let text: @Sendable (Outcome) -> String
    let cost: @Sendable (Outcome) -> Double?
  }

  private static let columns = [
    Column(title: "refused/s", text: { $0.refusedPerSecond.map(tenths) ?? "-" }) { $0.refusedPerSecond ?? 0 },
    Column(title: "peak/100ms", text: { "\($0.peakArrivals)" }) { Double($0.peakArrivals) },
    Column(title: "wasted", text: { "\($0.wasted)" }) { Double($0.wasted) },
    Column(title: "53300", text: { "\($0.noSlots)" }) { Double($0.noSlots) },
    Column(title: "all have one", text: { seconds($0.allHaveOne) }) { $0.allHaveOne?.inSeconds },
    Column(
      title: "all full",
      text: { seconds($0.allFull) + ($0.timesIdeal.map { " \(hundredths($0))×" } ?? "") }
    ) { $0.allFull?.inSeconds },
    Column(title: "ready", text: { "\($0.ready)/\($0.instances)" }) { Double($0.instances - $0.ready) },
  ]

  var lines: [String] {
    let model = setup.model
    var lines = [
      "scenario  \(setup.scenario.name): \(setup.scenario.summary)",
      "fleet     \(setup.instances) instances × \(setup.connections) connections, seed \(setup.seed)",
      "server    a model: max_connections \(model.slots), \(model.reserved) reserved; \(Self.plain(model.loginsPerSecond)) "
        + "logins a second by \(model.workers) workers,",
      "          one alone takes \(Self.tenths(model.loginAlone.inSeconds * 1000)) ms; a client gives up after "
        + "\(model.connectTimeout.settingText), the server does not notice", "",
    ]
    let width = outcomes.map(\.strategy.rawValue.count).max() ?? 0
    let table =
      [[""] + Self.columns.map(\.title)]
      + outcomes.map { outcome in
        [outcome.strategy.rawValue] + Self.columns.map { $0.text(outcome) }
      }
    let widths = Self.columns.indices.map { column in table.map { $0[column + 1].count }.max() ?? 0 }
    for row in table {
      let cells = zip(row.dropFirst(), widths).map {
        "  " + String(repeating: " ", count: $1 - $0.count) + $0
      }
      lines.append(row[0].padded(to: width) + cells.joined())
    }
    return lines + [""] + legend + notBest
  }

  private var legend: [String] {
    var text = "Times are from the end of the last trouble on. "
    if setup.scenario.troubleBegins == nil { text = "Times are from the first start or replacement on. " }
    return [
      text + "peak: logins that arrived within 100 ms after it.",
      "wasted: completed for clients that had given up. ×: the time in which the server could have done it.",
    ]
  }

  /// Where ours is not the best of those compared.
  private var notBest: [String] {
    guard let ours = outcomes.first(where: { $0.strategy == .warmgate }), outcomes.count > 1 else {
      return []
    }
    var worse: [String] = []
    for column in Self.columns {
      let cost = column.cost(ours) ?? .infinity
      let better = outcomes.filter { (column.cost($0) ?? .infinity) < cost }
      if better.isEmpty { continue }
      let names = better.map { "\($0.strategy.rawValue) \(column.text($0))" }.joined(separator: ", ")
      worse.append("  \(column.title): \(names)")
    }
    return worse.isEmpty
      ? ["warmgate is the best, or as good, in every column."] : ["Better than warmgate:"] + worse
  }

  /// The scenarios and strategies there are.
  static var list: [String] {
    func rows(_ rows: [(name: String, summary: String)]) -> [String] {
      let width = rows.map(\.name.count).max() ?? 0
      return rows.map { "  \($0.name.padded(to: width))  \($0.summary)" }
    }
    return ["Scenarios:"] + rows(Scenario.known.map { ($0.name, $0.summary) }) + ["", "Strategies:"]
      + rows(Strategy.allCases.map { ($0.rawValue, $0.summary) })
  }

  private static func seconds(_ duration: Duration?) -> String { duration?.inTenths ?? "never" }

  private static func tenths(_ number: Double) -> String {
    let tenths = Int((number * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }

  private static func hundredths(_ number: Double) -> String {
    let hundredths = Int((number * 100).rounded())
    return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
  }

  private static func plain(_ number: Double) -> String {
    number == number.rounded() ? "\(Int(number))" : tenths(number)
  }
}
