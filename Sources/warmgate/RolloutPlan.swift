import PoolCore

/// How many sessions a fleet may have at the server, at rest and while a Deployment is rolled, and whether they fit.
struct RolloutPlan: Hashable, Sendable {
  /// A guard against a slip of the hand, and against arithmetic on absurd numbers.
  static let mostPods = 100_000

  var fleet: Fleet
  /// Nil: no server is known, and only the fleet is counted.
  var room: FleetRoom?
  /// Why, if so, for people.
  var whyNoRoom = "not asked: name it by --database-url or --server-connections"

  struct Fleet: Hashable, Sendable {
    /// How old pods are replaced by new ones.
    enum Replacement: Hashable, Sendable {
      /// As a Deployment with the strategy RollingUpdate: new ones come while old ones drain.
      case rolling
      /// An old one is gone before its successor comes.
      case afterwards
      /// Not at all: a Job.
      case never
    }

    var replacement = Replacement.rolling
    var replicas: Int
    /// Pods above `replicas` while it is rolled.
    var surge: Int
    /// Pods below `replicas` while it is rolled.
    var unavailable: Int
    /// Pools in each pod.
    var pools = 1
    /// Warmgate's floor and ceiling, of all pools of a pod.
    var minConnections: Int
    var maxConnections: Int
    /// What the application of a pod opens by itself, at most.
    var appConnections: Int
    /// How long a pod that was deleted may keep its sessions.
    var drains: Duration
    /// From a pod's creation until it is ready, and others are deleted for it.
    var readyAfter: Duration

    var mostPerPod: Int { maxConnections + appConnections }

    static let standardReadyAfter: Duration = .seconds(10)

    /// Sets what a rollout may add and take away. As Kubernetes does, one pod goes where both shares come to nothing.
    mutating func roll(_ more: PodCount, _ fewer: PodCount, roundingUp: Bool = false) {
      surge = more.of(replicas, roundingUp: true)
      unavailable = fewer.of(replicas, roundingUp: roundingUp)
      if surge == 0, unavailable == 0 { unavailable = 1 }
    }
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
    let steady = phase("steady", pods: fleet.replicas, draining: 0)
    return switch fleet.replacement {
    case .rolling:
      [
        steady,
        phase("rollout", pods: fleet.replicas + min(fleet.surge, fleet.replicas), draining: fleet.draining),
      ]
    case .afterwards: [steady, phase("rollout", pods: fleet.replicas, draining: 0)]
    case .never: [steady]
    }
  }

  private func phase(_ name: String, pods: Int, draining: Int) -> Phase {
    Phase(
      name: name, pods: pods, draining: draining, least: pods * fleet.minConnections,
      most: (pods + draining) * fleet.mostPerPod)
  }

  /// The most sessions there can be at one moment.
  var peak: Int { phases.map(\.most).max() ?? 0 }

  /// As far as a server is known.
  var fits: Bool { room.map { peak <= $0.capacity } ?? true }

  /// What would make it fit, each for itself.
  var advice: [String] {
    guard let room, !fits else { return [] }
    var advice: [String] = []
    let pods = phases.map { $0.pods + $0.draining }.max() ?? 0
    let most = ((pods == 0 ? 0 : room.capacity / pods) - fleet.appConnections) / fleet.pools
    if most >= 1 {
      let floor = most * fleet.pools < fleet.minConnections ? " --min-connections \(most)" : ""
      advice.append("--max-connections \(most)\(floor)" + (fleet.pools > 1 ? " for each pool" : ""))
    }
    var slow = self
    (slow.fleet.surge, slow.fleet.unavailable) = (1, 0)
    if fleet.replacement == .rolling, slow.fits {
      advice.append("--max-surge 1 --max-unavailable 0, one pod after the other")
    }
    advice.append(room.enlarged(to: peak))
    return advice
  }
}

extension RolloutPlan.Fleet {
  /// One wave of new pods becomes ready within `readyAfter`, and as many old ones are deleted; they hold their sessions
  /// until they are drained. There are never more pods than twice the replicas.
  var draining: Int {
    let surge = min(surge, replicas)
    let wave = max(1, surge + min(unavailable, replicas))
    let (drains, time) = (max(0, drains.inNanoseconds), max(1, readyAfter.inNanoseconds))
    let waves = drains / time + (drains % time > 0 ? 1 : 0)
    let deleted = waves >= Int64(replicas) ? replicas : wave * Int(waves)
    return min(deleted, replicas - surge)
  }
}
