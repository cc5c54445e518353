import Health
import PoolCore
import YAML

/// What a manifest says about a fleet, what the command line says instead, and where each number is from.
struct PlannedWorkload {
  struct Number {
    enum Source {
      case flag
      case line(Int, of: String?)
      case standard
    }

    var name: String
    var value: String
    var source: Source
  }

  let file: ManifestFile
  let workload: Workload
  let sidecars: [WarmgateContainer]
  /// Those whose sessions are counted.
  let counted: [WarmgateContainer]
  var fleet: RolloutPlan.Fleet
  var numbers: [Number] = []
  var findings: [Finding]

  /// What may matter and is not in the manifest, for people.
  var unread: [String] { sidecars.flatMap { one in one.unread.map { "\(one.container.name.shown): \($0)" } } }

  var hasErrors: Bool { findings.contains { $0.severity == .error } }
}

extension PlannedWorkload.Number.Source {
  init(_ line: Int?, of what: String? = nil) { self = line.map { .line($0, of: what) } ?? .standard }

  var text: String {
    switch self {
    case .flag: "flag"
    case .line(let line, let what): (what.map { "\($0), " } ?? "") + "line \(line)"
    case .standard: "default"
    }
  }
}

extension PlannedWorkload {
  /// Above those of the plan.
  var lines: [String] {
    let sidecars = sidecars.map { "\($0.container.name.shown) on line \($0.container.line)" }
    var lines = [
      RolloutPlan.row(
        "manifest",
        "\(workload.name.shown) on line \(workload.meta.line), with \(sidecars.joined(separator: " and "))")
    ]
    lines += numbers.map { RolloutPlan.row("", "\($0.name) \($0.value) (\($0.source.text))") }
    if counted.count > 1 {
      lines.append(
        RolloutPlan.row("", "counted together, as of one server; --container NAME counts one alone"))
    }
    lines += unread.map { RolloutPlan.row("", "not read: \($0)") }
    return lines
  }

  /// Below those of the plan.
  var reviewLines: [String] {
    findings.isEmpty ? ["nothing is wrong in the manifest"] : findings.map { $0.text(file: file.name) }
  }

  private func isCounted(_ sidecar: WarmgateContainer) -> Bool {
    counted.contains { $0.container.name == sidecar.container.name }
  }

  var members: [JSON.Member] {
    [
      .init(
        "manifest",
        .object([
          .init("file", .string(file.name)), .init("workload", .string(workload.name)),
          .init("namespace", .string(workload.meta.namespace)), .init("line", .int(workload.meta.line)),
          .init(
            "sidecars",
            .array(
              sidecars.map {
                .object([
                  .init("name", .string($0.container.name)), .init("line", .int($0.container.line)),
                  .init("native", .bool($0.isNative)), .init("counted", .bool(isCounted($0))),
                ])
              })),
        ])), .init("numbers", .array(numbers.map(\.json))),
      .init("unread", .array(unread.map { .string($0) })), .init("findings", .array(findings.map(\.json))),
    ]
  }
}

extension PlannedWorkload.Number {
  fileprivate var json: JSON {
    var line: Int?
    var from = "default"
    switch source {
    case .flag: from = "flag"
    case .line(let number, let what): (line, from) = (number, what ?? "manifest")
    case .standard: break
    }
    return .object([
      .init("name", .string(name)), .init("value", .string(value)), .init("source", .string(from)),
      .init("line", .int(line)),
    ])
  }
}
