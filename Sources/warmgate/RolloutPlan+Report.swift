import Health
import PoolCore

extension RolloutPlan {
  /// As people read it.
  var lines: [String] {
    var lines = [Self.row("server", room?.text ?? whyNoRoom)]
    let app = fleet.appConnections > 0 ? " and up to \(fleet.appConnections) of the application" : ""
    lines.append(
      Self.row(
        "pod",
        "\(fleet.minConnections) to \(fleet.maxConnections) sessions\(app); drains for up to "
          + "\(fleet.drains.settingText), the next is ready after \(fleet.readyAfter.settingText)"))
    for phase in phases {
      let draining = phase.draining > 0 ? ", and \(phase.draining) that drain" : ""
      lines.append(
        Self.row(
          phase.name,
          "\(phase.pods) \(phase.pods == 1 ? "pod" : "pods")\(draining): \(phase.least) to \(phase.most) sessions\(left(by: phase))"
        ))
    }
    if room == nil { return lines }
    lines.append(fits ? "it fits" : "it does not fit; each of these would:")
    return lines + advice.map { "  \($0)" }
  }

  /// A name in a column of its own.
  static func row(_ name: String, _ text: String) -> String { "\(name.padded(to: 9)) \(text)" }

  private func left(by phase: Phase) -> String {
    guard let room else { return "" }
    let excess = phase.most - room.capacity
    return excess > 0 ? ", up to \(excess) too many" : ", \(-excess) left"
  }

  var json: JSON { .object(members) }

  /// What depends on a server is `null` where none was asked.
  var members: [JSON.Member] {
    [
      .init("fits", room.map { _ in .bool(fits) } ?? .null), .init("capacity", .int(room?.capacity)),
      .init("peak", .int(peak)),
      .init(
        "phases",
        .array(
          phases.map { phase in
            .object([
              .init("phase", .string(phase.name)), .init("pods", .int(phase.pods)),
              .init("draining", .int(phase.draining)), .init("least", .int(phase.least)),
              .init("most", .int(phase.most)),
              .init("fits", room.map { .bool(phase.most <= $0.capacity) } ?? .null),
            ])
          })), .init("advice", .array(advice.map { .string($0) })),
    ]
  }
}
