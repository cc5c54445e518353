import PoolCore

/// How many sessions a fleet may have at the server, at rest and while a Deployment is rolled, and whether they fit.
struct RolloutPlan: Hashable, Sendable {
  /// A guard against a slip of the hand, and against arithmetic on absurd numbers.
  static let mostPods = 100_000

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
