import PoolCore

/// Outcomes as a picture: three small charts one below the other, in one SVG file that needs nothing else and follows
/// the reader's light or dark colours. Logins are on a logarithmic scale: strategies differ by factors of a hundred.
public struct Chart: Sendable {
  private let setup: Setup
  private let outcomes: [Outcome]
  /// Steps of the series that are shown.
  private let steps: Int

  private static let (left, right, top, width, height, gap) = (64, 16, 74, 800, 150, 44)
  private static let light = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#777777"]
  private static let dark = ["#5ab4f0", "#ff9248", "#2fd6a4", "#e9a3c9", "#f0c040", "#aaaaaa"]

  /// Of these outcomes of one setup.
  public init(_ setup: Setup, _ outcomes: [Outcome]) {
    self.setup = setup
    self.outcomes = outcomes
    // One that never recovers must not squeeze those that do.
    let lengths = outcomes.map { $0.series.logins.count }
    let calm = Int(setup.scenario.calm.inNanoseconds / Series.step.inNanoseconds)
    steps = max(1, min(lengths.max() ?? 1, max(calm + 300, 3 * (lengths.min() ?? 1))))
  }

  /// The file.
  public var svg: String {
    let (full, whole) = (Self.left + Self.width + Self.right, Self.top + 3 * (Self.height + Self.gap))
    var text = """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(full) \(whole)" font-family="system-ui, sans-serif" font-size="12">
      <title>\(escaped(title))</title>
      <style>
      \(style(Self.light, ground: "#ffffff", ink: "#1a1a1a", faint: "#c8c8c8", shade: "#f0dede"))
      @media (prefers-color-scheme: dark) {
      \(style(Self.dark, ground: "#16181c", ink: "#e6e6e6", faint: "#4a4d52", shade: "#3a2626"))
      }
      polyline { fill: none; stroke-width: 1.5 }
      </style>
      <rect class="ground" width="\(full)" height="\(whole)"/>
      <text x="\(Self.left)" y="20" font-weight="bold">\(escaped(title))</text>

      """
    for (index, outcome) in outcomes.enumerated() {
      let x = Self.left + index * (Self.width / max(1, outcomes.count))
      text += "<polyline class=\"s\(index)\" points=\"\(x),38 \(x + 18),38\"/>"
      text += "<text x=\"\(x + 23)\" y=\"42\">\(outcome.strategy.rawValue)</text>\n"
    }
    text += panel(0, "logins per 100 ms, logarithmic", \.logins, isLogarithmic: true)
    text += panel(1, "sessions", \.sessions)
    text += panel(2, "ready instances", \.ready)
    return text + "</svg>\n"
  }

  private var title: String {
    "\(setup.scenario.name): \(setup.instances) instances × \(setup.connections) connections, seed \(setup.seed)"
  }

  private func style(_ colours: [String], ground: String, ink: String, faint: String, shade: String) -> String
  {
    let lines = colours.enumerated().map { ".s\($0.offset) { stroke: \($0.element) }" }
    return
      ([".ground { fill: \(ground) } text { fill: \(ink) } .faint { stroke: \(faint) }"]
      + [".shade { fill: \(shade) }"] + lines).joined(separator: "\n")
  }

  private func escaped(_ text: String) -> String {
    var out = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "&": out += "&amp;"
      case "<": out += "&lt;"
      case ">": out += "&gt;"
      case _ where scalar.value < 0x20: out += " "
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }

  private func panel(
    _ index: Int, _ name: String, _ series: KeyPath<Series, [Int]>, isLogarithmic: Bool = false
  ) -> String {
    let y = Self.top + index * (Self.height + Self.gap)
    let bottom = y + Self.height
    let most = max(1, outcomes.flatMap { $0.series[keyPath: series].prefix(steps) }.max() ?? 1)
    func height(_ value: Int) -> Double {
      let part =
        isLogarithmic ? Self.logarithm(value) / Self.logarithm(most) : Double(value) / Double(most)
      return Double(bottom) - part * Double(Self.height)
    }
    func across(_ step: Int) -> Double { Double(Self.left) + Double(step * Self.width) / Double(steps) }
    var text = ""
    if let begins = setup.scenario.troubleBegins, setup.scenario.calm > begins {
      let from = across(min(steps, Int(begins.inNanoseconds / Series.step.inNanoseconds)))
      let to = across(min(steps, Int(setup.scenario.calm.inNanoseconds / Series.step.inNanoseconds)))
      text += "<rect class=\"shade\" x=\"\(tenths(from))\" y=\"\(y)\" width=\"\(tenths(to - from))\""
      text += " height=\"\(Self.height)\"/>\n"
    }
    text += "<text x=\"\(Self.left)\" y=\"\(y - 6)\">\(name)</text>\n"
    var marks = [0, most / 2, most]
    if isLogarithmic { marks = [0, most] + [1, 10, 100, 1000, 10_000].filter { $0 < most / 2 } }
    for value in marks {
      let at = tenths(height(value))
      text +=
        "<line class=\"faint\" x1=\"\(Self.left)\" x2=\"\(Self.left + Self.width)\" y1=\"\(at)\" y2=\"\(at)\"/>"
      text += "<text x=\"\(Self.left - 6)\" y=\"\(at)\" dy=\"4\" text-anchor=\"end\">\(value)</text>\n"
    }
    let seconds = Double(steps) / 10
    let every =
      [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600].first { seconds / Double($0) <= 12 } ?? 7200
    for second in stride(from: 0, through: Int(seconds), by: every) {
      text +=
        "<text x=\"\(tenths(across(second * 10)))\" y=\"\(bottom + 15)\" text-anchor=\"middle\">\(second) s</text>\n"
    }
    for (number, outcome) in outcomes.enumerated().reversed() {
      let values = outcome.series[keyPath: series]
      text += "<polyline class=\"s\(number)\" points=\""
      // No more points than can be seen: the largest of those that fall on one.
      let stride = max(1, steps / 800)
      var step = 0
      while step < min(steps, values.count) {
        let value = values[step..<min(step + stride, values.count)].max() ?? 0
        text += "\(tenths(across(step))),\(tenths(height(value))) "
        step += stride
      }
      text += "\"/>\n"
    }
    return text
  }

  /// That of 1 + `value` to the base of two, straight between the powers: close enough for a picture, and the same on
  /// every machine.
  static func logarithm(_ value: Int) -> Double {
    let number = Double(max(0, value)) + 1
    return Double(number.exponent) + (number.significand - 1)
  }

  /// Of a coordinate, which is not negative. Not with `rounded()`, which needs a library of its own.
  private func tenths(_ number: Double) -> String {
    let tenths = Int(number * 10 + 0.5)
    return "\(tenths / 10).\(tenths % 10)"
  }
}
