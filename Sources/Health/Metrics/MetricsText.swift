import PoolCore

/// A page of metrics in the text format of Prometheus 0.0.4, or in OpenMetrics 1.0.
///
/// Both say the same series: a scraper that changes between them sees no new ones. So the bounds of histograms are
/// written as OpenMetrics wants them, `1.0` rather than `1`.
struct MetricsText {
  enum Form { case prometheus, openMetrics }

  private let form: Form
  private(set) var text = ""

  init(_ scrape: Scrape, _ metrics: [Metric] = MetricsTable.all, as form: Form) {
    self.form = form
    text.reserveCapacity(24 * 1024)
    for metric in metrics { add(metric, scrape) }
    if form == .openMetrics { text += "# EOF\n" }
  }

  private mutating func add(_ metric: Metric, _ scrape: Scrape) {
    addHead(of: metric)
    switch metric.values {
    case .samples(let samples):
      for sample in samples(scrape) {
        add(metric.name, labels: Array(zip(metric.labels, sample.labels)), Self.number(sample.value))
      }
    case .histogram(let histogram): add(histogram(scrape.snapshot), of: metric)
    }
  }

  private mutating func addHead(of metric: Metric) {
    let name = form == .openMetrics ? metric.family : metric.name
    // The older format does not know this kind.
    let kind = form == .prometheus && metric.kind == .info ? Metric.Kind.gauge : metric.kind
    text += "# HELP \(name) \(Self.escaped(metric.help))\n"
    text += "# TYPE \(name) \(kind.rawValue)\n"
    if form == .openMetrics, let unit = metric.unit { text += "# UNIT \(name) \(unit)\n" }
  }

  private mutating func add(_ histogram: Histogram, of metric: Metric) {
    let bounds = histogram.scale.bounds.map { "\(Double($0) / 1e9)" } + ["+Inf"]
    for (bound, count) in zip(bounds, histogram.cumulative) {
      add(metric.name + "_bucket", labels: [("le", bound)], String(count))
    }
    add(metric.name + "_sum", labels: [], Self.number(histogram.sum.inSeconds))
    add(metric.name + "_count", labels: [], String(histogram.count))
  }

  private mutating func add(_ name: String, labels: [(name: String, value: String)], _ value: String) {
    text += name
    for (index, label) in labels.enumerated() {
      text += index == 0 ? "{" : ","
      text += label.name
      text += "=\""
      text += Self.escaped(label.value)
      text += "\""
    }
    text += labels.isEmpty ? " " : "} "
    text += value
    text += "\n"
  }

  private static func escaped(_ text: String) -> String {
    guard text.utf8.contains(where: { $0 == 0x5C || $0 == 0x22 || $0 == 0x0A }) else { return text }
    return text.reduce(into: "") { escaped, character in
      switch character {
      case "\\": escaped += "\\\\"
      case "\"": escaped += "\\\""
      case "\n": escaped += "\\n"
      default: escaped.append(character)
      }
    }
  }

  /// Without a decimal point where it is whole.
  private static func number(_ value: Double) -> String {
    if let whole = Int64(exactly: value), whole.magnitude < 1 << 53 { return String(whole) }
    if value.isNaN { return "NaN" }
    return value.isInfinite ? (value < 0 ? "-Inf" : "+Inf") : "\(value)"
  }
}
