import Health
import PoolCore

/// What `check` finds out, step by step, told as it happens.
struct CheckReport {
  /// One step of the explanation.
  struct Step {
    enum Outcome: String {
      case ok
      /// Works, but look at it.
      case warning
      case failed
    }

    var name: String
    /// The host it is about, if the URL names several.
    var host: String?
    var outcome: Outcome
    var text: String
    var advice: String?
    var took: Duration?
  }

  private(set) var steps: [Step] = []
  let console: Console
  let isJSON: Bool

  init(console: Console, isJSON: Bool) {
    self.console = console
    self.isJSON = isJSON
  }

  mutating func add(_ step: Step) {
    steps.append(step)
    if isJSON { return }
    let mark =
      switch step.outcome {
      case .ok: "ok"
      case .warning: "warn"
      case .failed: "FAIL"
      }
    let host = step.host.map { " (\($0))" } ?? ""
    let took = step.took.map { "  [\($0.inMilliseconds)]" } ?? ""
    console.print(
      "\(step.name.padded(to: 9)) \(mark.padded(to: 4))  \(step.text.escapingControls)\(host)\(took)")
    if let advice = step.advice { console.print("\(String(repeating: " ", count: 16))→ \(advice)") }
  }

  mutating func passed(_ name: String, _ text: String, host: String? = nil, took: Duration? = nil) {
    add(Step(name: name, host: host, outcome: .ok, text: text, took: took))
  }

  /// A failure that ends the check, or, as a warning, one that it survives.
  mutating func failed(
    _ name: String, _ fault: Fault, host: String? = nil, took: Duration? = nil, asWarning: Bool = false
  ) {
    var text = fault.summary
    if !fault.message.isEmpty { text += ": \(fault.message)" }
    add(
      Step(
        name: name, host: host, outcome: asWarning ? .warning : .failed, text: text, advice: fault.advice,
        took: took))
  }

  var hasFailed: Bool { steps.contains { $0.outcome == .failed } }

  var json: JSON {
    let failure = steps.first { $0.outcome == .failed }
    return .object([
      .init("ok", .bool(failure == nil)), .init("failed", .string(failure?.name)),
      .init("advice", .string(failure?.advice)), .init("steps", .array(steps.map(\.json))),
    ])
  }
}

extension CheckReport.Step {
  fileprivate var json: JSON {
    .object([
      .init("step", .string(name)), .init("host", .string(host)), .init("outcome", .string(outcome.rawValue)),
      .init("text", .string(text)), .init("advice", .string(advice)),
      .init("seconds", took.map(JSON.seconds) ?? .null),
    ])
  }
}

extension Duration {
  /// For people: `0.04 ms`, `1020.30 ms`.
  fileprivate var inMilliseconds: String {
    let hundredths = max(0, inNanoseconds) / 10_000
    return "\(hundredths / 100).\(hundredths % 100 / 10)\(hundredths % 10) ms"
  }
}
