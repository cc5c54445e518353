import Health
import PoolCore

extension RolloutPlan {
  /// As people read it.
  var lines: [String] {
    func row(_ name: String, _ text: String) -> String { "\(name.padded(to: 9)) \(text)" }
    var lines = [row("server", room.text)]
    let app = fleet.appConnections > 0 ? " and up to \(fleet.appConnections) of the application" : ""
    lines.append(
      row(
        "pod",
        "\(fleet.minConnections) to \(fleet.maxConnections) sessions\(app); drains for up to "
          + "\(fleet.drains.settingText), the next is ready after \(fleet.readyAfter.settingText)"))
    for phase in phases {
      let draining = phase.draining > 0 ? ", and \(phase.draining) that drain" : ""
      let excess = phase.most - room.capacity
      lines.append(
        row(
          phase.name,
          "\(phase.pods) \(phase.pods == 1 ? "pod" : "pods")\(draining): \(phase.least) to \(phase.most) sessions, "
            + (excess > 0 ? "up to \(excess) too many" : "\(-excess) left")))
    }
    lines.append(fits ? "it fits" : "it does not fit; each of these would:")
    return lines + advice.map { "  \($0)" }
  }

  var json: JSON {
    .object([
      .init("fits", .bool(fits)), .init("capacity", .int(room.capacity)), .init("peak", .int(peak)),
      .init(
        "phases",
        .array(
          phases.map { phase in
            .object([
              .init("phase", .string(phase.name)), .init("pods", .int(phase.pods)),
              .init("draining", .int(phase.draining)), .init("least", .int(phase.least)),
              .init("most", .int(phase.most)), .init("fits", .bool(phase.most <= room.capacity)),
            ])
          })), .init("advice", .array(advice.map { .string($0) })),
    ])
  }
}
