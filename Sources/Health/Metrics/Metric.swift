import PoolCore

/// One metric: its name, what it means, and where its values come from. All of them are in `MetricsTable`.
struct Metric: Sendable {
  /// What it counts or shows.
  enum Kind: String, Sendable {
    /// Never goes down while the process lives.
    case counter
    /// Goes up and down.
    case gauge
    /// How many were at most so large, how many there were, and their sum.
    case histogram
    /// Always 1: its labels are what it says.
    case info
  }

  /// One value, with the values of the labels in their order.
  struct Sample: Sendable {
    var labels: [String]
    var value: Double

    init(_ labels: String..., value: Double) {
      self.labels = labels
      self.value = value
    }

    init(_ labels: String..., count: Int) {
      self.labels = labels
      value = Double(count)
    }
  }

  enum Values: Sendable {
    case samples(@Sendable (Scrape) -> [Sample])
    case histogram(@Sendable (Snapshot) -> Histogram)
  }

  /// As a sample of it is called, but for a histogram's ending.
  let name: String
  let kind: Kind
  let labels: [String]
  let help: String
  let values: Values

  /// OpenMetrics names the family, and samples of some kinds with an ending
  /// (OpenMetrics 1.0, "Counter", "Info").
  var family: String {
    switch kind {
    case .counter: name.removing(suffix: "_total")
    case .info: name.removing(suffix: "_info")
    case .gauge, .histogram: name
    }
  }

  /// The last word of the family's name, where it is a unit.
  var unit: String? { ["seconds", "bytes"].first { family.hasSuffix("_\($0)") } }

  /// As documentation shows it: `warmgate_state{state}`.
  var title: String { labels.isEmpty ? name : "\(name){\(labels.joined(separator: ","))}" }
}

extension Metric {
  /// A single value; none while it is nil.
  static func gauge(
    _ name: String, _ help: String, _ value: @escaping @Sendable (Scrape) -> Double?
  ) -> Metric {
    Metric(
      name: name, kind: .gauge, labels: [], help: help,
      values: .samples { scrape in value(scrape).map { [Sample(value: $0)] } ?? [] })
  }

  static func gauge(
    _ name: String, by labels: String..., help: String,
    _ samples: @escaping @Sendable (Scrape) -> [Sample]
  ) -> Metric {
    Metric(name: name, kind: .gauge, labels: labels, help: help, values: .samples(samples))
  }

  static func counter(
    _ name: String, _ help: String, _ value: @escaping @Sendable (Scrape) -> Double?
  ) -> Metric {
    Metric(
      name: name, kind: .counter, labels: [], help: help,
      values: .samples { scrape in value(scrape).map { [Sample(value: $0)] } ?? [] })
  }

  static func counter(
    _ name: String, by labels: String..., help: String,
    _ samples: @escaping @Sendable (Scrape) -> [Sample]
  ) -> Metric {
    Metric(name: name, kind: .counter, labels: labels, help: help, values: .samples(samples))
  }

  static func histogram(
    _ name: String, _ help: String, _ histogram: @escaping @Sendable (Snapshot) -> Histogram
  ) -> Metric {
    Metric(name: name, kind: .histogram, labels: [], help: help, values: .histogram(histogram))
  }
}

extension String {
  fileprivate func removing(suffix: String) -> String {
    hasSuffix(suffix) ? String(dropLast(suffix.count)) : self
  }
}
