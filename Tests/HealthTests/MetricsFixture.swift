import PoolCore

@testable import Health

extension MetricsRoute {
  /// One that counts for itself.
  static var unversioned: MetricsRoute { MetricsRoute(version: "", requests: RequestCounts()) }
}

/// A page of metrics, taken apart: enough to ask for values by name and labels.
struct MetricsPage {
  let text: String
  /// By name and labels, as in the text: `warmgate_state{state="ready"}`.
  private(set) var values: [String: Double] = [:]
  /// Name, and kind as its `# TYPE` says.
  private(set) var kinds: [String: String] = [:]
  private(set) var units: [String: String] = [:]
  /// A series that is there twice, and lines that are none of these.
  private(set) var odd: [String] = []

  init(_ text: String) {
    self.text = text
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ", maxSplits: 3).map(String.init)
      switch (words.first, words.dropFirst().first) {
      case ("#", "TYPE"?) where words.count == 4: kinds[words[2]] = words[3]
      case ("#", "UNIT"?) where words.count == 4: units[words[2]] = words[3]
      case ("#", "HELP"?) where words.count == 4: break
      case ("#", "EOF"?) where words.count == 2: break
      default:
        guard let space = line.lastIndex(of: " "), let value = Double(line[line.index(after: space)...]),
          values.updateValue(value, forKey: String(line[..<space])) == nil
        else {
          odd.append(String(line))
          continue
        }
      }
    }
  }

  subscript(series: String) -> Double? { values[series] }

  /// The series of a metric.
  func series(of name: String) -> [String: Double] { values.filter { $0.key.hasPrefix(name + "{") } }
}

extension State {
  func page(_ form: MetricsText.Form = .prometheus, requests: RequestCounts? = nil) -> MetricsPage {
    MetricsPage(
      MetricsText(Scrape(observation, requests: requests?.all ?? [], version: "1.2.3"), as: form).text)
  }
}
