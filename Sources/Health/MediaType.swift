/// The forms an answer is told in, and which of them a request asks for.
enum MediaType: String, Hashable, Sendable, CaseIterable {
  case text = "text/plain; charset=utf-8"
  case json = "application/json"
  /// draft-inadarei-api-health-check-06.
  case healthJSON = "application/health+json"
  /// "Prometheus exposition formats", text format 0.0.4.
  case prometheus = "text/plain; version=0.0.4; charset=utf-8"
  /// OpenMetrics 1.0, "Protocol Negotiation".
  case openMetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8"

  /// The status page.
  case html = "text/html; charset=utf-8"

  /// The forms of a verdict.
  static let verdicts: [MediaType] = [.text, .json, .healthJSON]

  /// Without parameters.
  private var name: String { rawValue.split(separator: ";").first.map(String.init) ?? rawValue }

  /// `?format=` decides, then `Accept`; text if neither says anything we have.
  init(for request: Request, among choices: [MediaType] = MediaType.verdicts) {
    let byFormat: MediaType? =
      switch request.parameter("format") {
      case "text": .text
      case "html": .html
      case "json": .json
      case "health", "health+json", "health json": .healthJSON  // a plus sign in a query is a space
      default: nil
      }
    if let byFormat, choices.contains(byFormat) {
      self = byFormat
    } else {
      self = request.header("Accept").flatMap { Self.preferred(accept: $0, among: choices) } ?? .text
    }
  }

  /// The choice with the highest quality (RFC 9110, 12.5.1). Between equals, the one that was named outright
  /// beats a wildcard (an HTTP client that asks for `application/json, */*` wants JSON), then the order of the
  /// header decides, then the order of `choices`. Nil if none is acceptable.
  static func preferred(accept: String, among choices: [MediaType]) -> MediaType? {
    // What the kubelet and curl send. Taking it apart would cost more than all the rest of their answer.
    if accept == "*/*" { return choices.first }
    let ranges = accept.split(separator: ",").prefix(32).enumerated().compactMap { index, text in
      Range(text, order: index)
    }
    var best: (choice: MediaType, range: Range)?
    for choice in choices {
      // What a choice is worth is said by the most specific range that matches it.
      let matching = ranges.filter { $0.matches(choice.name) }
      guard let range = matching.max(by: { $0.specificity < $1.specificity }), range.quality > 0 else {
        continue
      }
      if let best, !range.isPreferred(to: best.range) { continue }
      best = (choice, range)
    }
    return best?.choice
  }

  private struct Range {
    var type: Substring
    var subtype: Substring
    var quality: Double
    var order: Int

    init?(_ text: Substring, order: Int) {
      let parts = text.split(separator: ";").map { $0.trimmingSpaces }
      guard let slash = parts.first?.firstIndex(of: "/"), let name = parts.first else { return nil }
      type = name[..<slash]
      subtype = name[name.index(after: slash)...]
      quality = 1
      for parameter in parts.dropFirst() {
        let sides = parameter.split(separator: "=", maxSplits: 1).map { $0.trimmingSpaces }
        guard sides.count == 2, sides[0].isEqualIgnoringCase(to: "q") else { continue }
        quality = Double(sides[1]).map { $0.isFinite ? min(max($0, 0), 1) : 0 } ?? 1
      }
      self.order = order
    }

    var specificity: Int { type == "*" ? 0 : subtype == "*" ? 1 : 2 }

    func matches(_ name: String) -> Bool {
      switch specificity {
      case 0: true
      case 1: name.split(separator: "/").first.map { $0.isEqualIgnoringCase(to: type) } ?? false
      default: name.isEqualIgnoringCase(to: "\(type)/\(subtype)")
      }
    }

    func isPreferred(to other: Range) -> Bool {
      if quality != other.quality { return quality > other.quality }
      if specificity != other.specificity { return specificity > other.specificity }
      return order < other.order
    }
  }
}

extension Substring {
  var trimmingSpaces: Substring {
    var text = self
    while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
    while let last = text.last, last == " " || last == "\t" { text.removeLast() }
    return text
  }
}
