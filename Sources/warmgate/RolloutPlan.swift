import Health
import PoolCore

/// How many sessions a fleet may have at the server, at rest and while a Deployment is rolled, and whether they fit.
struct RolloutPlan: Hashable, Sendable {
  var fleet: Fleet
  var room: FleetRoom

  /// A Deployment with the strategy RollingUpdate.
  struct Fleet: Hashable, Sendable {
    var replicas: Int
    /// Pods above `replicas` while it is rolled.
    var surge: Int
    /// Pods below `replicas` while it is rolled.
    var unavailable: Int
    /// Warmgate's floor and ceiling.
    var minConnections: Int
    var maxConnections: Int
    /// What the application of a pod opens by itself, at most.
    var appConnections: Int
    /// How long a pod that was deleted may keep its sessions.
    var drains: Duration
    /// From a pod's creation until it is ready, and others are deleted for it.
    var readyAfter: Duration

    var mostPerPod: Int { maxConnections + appConnections }
  }

  /// A moment of the fleet's life.
  struct Phase: Hashable, Sendable {
    var name: String
    var pods: Int
    /// Deleted pods that still hold sessions: the Deployment does not count them.
    var draining: Int
    var least: Int
    var most: Int
  }

  var phases: [Phase] {
    [
      phase("steady", pods: fleet.replicas, draining: 0),
      phase("rollout", pods: fleet.replicas + min(fleet.surge, fleet.replicas), draining: fleet.draining),
    ]
  }

  private func phase(_ name: String, pods: Int, draining: Int) -> Phase {
    Phase(
      name: name, pods: pods, draining: draining, least: pods * fleet.minConnections,
      most: (pods + draining) * fleet.mostPerPod)
  }

  /// The most sessions there can be at one moment.
  var peak: Int { phases.map(\.most).max() ?? 0 }

  var fits: Bool { peak <= room.capacity }

  /// What would make it fit, each for itself.
  var advice: [String] {
    if fits { return [] }
    var advice: [String] = []
    let pods = phases.map { $0.pods + $0.draining }.max() ?? 0
    let most = (pods == 0 ? 0 : room.capacity / pods) - fleet.appConnections
    if most >= 1 {
      let floor = most < fleet.minConnections ? " --min-connections \(most)" : ""
      advice.append("--max-connections \(most)\(floor)")
    }
    var slow = self
    (slow.fleet.surge, slow.fleet.unavailable) = (1, 0)
    if slow.fits { advice.append("--max-surge 1 --max-unavailable 0, one pod after the other") }
    advice.append(room.enlarged(by: peak - room.capacity))
    return advice
  }
}

extension RolloutPlan.Fleet {
  /// One wave of new pods becomes ready within `readyAfter`, and as many old ones are deleted; they hold their sessions
  /// until they are drained. There are never more pods than twice the replicas.
  var draining: Int {
    let surge = min(surge, replicas)
    let wave = max(1, surge + min(unavailable, replicas))
    let time = max(1, readyAfter.inNanoseconds)
    let waves = max(0, drains.inNanoseconds).dividedRoundingUp(by: time)
    let deleted = waves >= Int64(replicas) ? replicas : wave * Int(waves)
    return min(deleted, replicas - surge)
  }
}

extension BinaryInteger {
  fileprivate func dividedRoundingUp(by divisor: Self) -> Self {
    self / divisor + (self % divisor > 0 ? 1 : 0)
  }
}

/// What the server has for a fleet: its slots and limits, without what others use of them.
struct FleetRoom: Hashable, Sendable {
  struct Limit: Hashable, Sendable {
    /// As it is said to an administrator: `max_connections`, `the role's limit`.
    var name: String
    var limit: Int
    /// Nobody gets these.
    var reserved = 0
    /// Used by others than the fleet.
    var others: Int

    var free: Int { max(0, limit - reserved - others) }
  }

  /// At least one.
  var limits: [Limit]

  /// The narrowest.
  private var binding: Limit? { limits.min { $0.free < $1.free } }

  var capacity: Int { binding?.free ?? 0 }

  /// What the server would have to allow.
  func enlarged(by more: Int) -> String {
    limits.filter { $0.free < capacity + more }.map { "\($0.name) \($0.limit + capacity + more - $0.free)" }
      .joined(separator: " and ") + " at the server"
  }

  var text: String {
    limits.map { limit in
      "\(limit.name) \(limit.limit)" + (limit.reserved > 0 ? ", \(limit.reserved) reserved" : "")
        + (limit.others > 0 ? ", \(limit.others) used by others" : "")
    }.joined(separator: "; ") + ": \(capacity) for this fleet"
  }

  /// As the server says it now. `own`: sessions among them that are this fleet's.
  init(_ room: ServerRoom, own: Int, others: Int?) {
    limits = [
      Limit(
        name: "max_connections", limit: room.maxConnections, reserved: room.reserved,
        others: others ?? max(0, room.used - own))
    ]
    if let role = room.role {
      limits.append(Limit(name: "the role's limit", limit: role.limit, others: max(0, role.used - own)))
    }
    if let database = room.database {
      limits.append(
        Limit(name: "the database's limit", limit: database.limit, others: max(0, database.used - own)))
    }
  }

  init(maxConnections: Int, reserved: Int, others: Int) {
    limits = [Limit(name: "max_connections", limit: maxConnections, reserved: reserved, others: others)]
  }
}

/// A number of pods, or a share of the replicas.
enum PodCount: Hashable, Sendable {
  case number(Int)
  case percent(Int)

  /// Of so many replicas. Kubernetes rounds a surge up, and unavailable pods down.
  func of(_ replicas: Int, roundingUp: Bool) -> Int {
    switch self {
    case .number(let number): number
    case .percent(let percent): (replicas * percent + (roundingUp ? 99 : 0)) / 100
    }
  }
}

extension ValueKind<PodCount> {
  static let podCount = ValueKind(placeholder: "NUMBER|PERCENT") { text throws(NotAccepted) in
    let isShare = text.hasSuffix("%")
    guard let number = try? ValueKind<Int>.count.read(isShare ? String(text.dropLast()) : text),
      number <= RolloutPlan.mostPods
    else {
      throw NotAccepted(why: "give a number of pods such as 1, or a share such as 25%")
    }
    return isShare ? .percent(number) : .number(number)
  } write: {
    switch $0 {
    case .number(let number): "\(number)"
    case .percent(let percent): "\(percent)%"
    }
  }
}

extension RolloutPlan {
  /// A guard against a slip of the hand, and against arithmetic on absurd numbers.
  static let mostPods = 100_000

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
