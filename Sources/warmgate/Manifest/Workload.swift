import YAML

/// An object that makes pods from a template.
struct Workload {
  enum Kind: String, CaseIterable {
    case deployment = "Deployment"
    case statefulSet = "StatefulSet"
    case daemonSet = "DaemonSet"
    case job = "Job"
  }

  /// How its pods are replaced when the template changes.
  enum Replacement {
    case rolling(surge: Placed<PodCount>?, unavailable: Placed<PodCount>?)
    /// The old pods are gone before new ones come: `Recreate`, and `OnDelete`, when somebody deletes them.
    case afterwards(Placed<String>)
    /// Its template cannot change.
    case never
  }

  var kind: Kind
  var meta: Metadata
  /// Of a Job, how many run beside each other. Nil for the default, and for a DaemonSet, which has a pod on each node.
  var replicas: Placed<Int>?
  var replacement: Replacement
  var minReady: Placed<Int>?
  var pod: PodTemplate

  /// `deployment/shop`.
  var name: String { "\(kind.rawValue.lowercased())/\(meta.name)" }

  init(_ kind: Kind, _ meta: Metadata, _ object: Field) throws(YAMLError) {
    self.kind = kind
    self.meta = meta
    let spec = try object.needed("spec")
    let pods = 0...RolloutPlan.mostPods
    switch kind {
    case .deployment, .statefulSet: replicas = try spec.int("replicas", pods)
    case .daemonSet: replicas = nil
    case .job:
      replicas = try spec.int("parallelism", pods)
      // No more run than are still to be done.
      if let all = try spec.int("completions"), all.value < replicas?.value ?? 1 { replicas = all }
    }
    replacement = try Self.replacement(kind, spec)
    minReady = kind == .job ? nil : try spec.int("minReadySeconds")
    pod = try PodTemplate(try spec.needed("template"))
  }

  private static func replacement(_ kind: Kind, _ spec: Field) throws(YAMLError) -> Replacement {
    guard kind != .job else { return .never }
    let strategy = try spec.member(kind == .deployment ? "strategy" : "updateStrategy")
    if let type = try strategy?.text("type") {
      switch (type.value, kind) {
      case ("RollingUpdate", _): break
      case ("Recreate", .deployment), ("OnDelete", .statefulSet), ("OnDelete", .daemonSet):
        return .afterwards(type)
      default:
        let other = kind == .deployment ? "Recreate" : "OnDelete"
        throw YAMLError(
          line: type.line, why: "the strategy \(type.value.quoted): give RollingUpdate or \(other)")
      }
    }
    let rolling = try strategy?.member("rollingUpdate")
    let surge = kind == .statefulSet ? nil : try rolling?.podCount("maxSurge", atMost: RolloutPlan.mostPods)
    let unavailable = try rolling?.podCount("maxUnavailable", atMost: 100)
    if let surge, let unavailable, surge.value.isZero, unavailable.value.isZero {
      throw YAMLError(
        line: unavailable.line,
        why: "maxSurge and maxUnavailable are both 0: Kubernetes could never roll that")
    }
    return .rolling(surge: surge, unavailable: unavailable)
  }
}

/// The pods' side of a workload.
struct PodTemplate {
  var line: Int
  var labels: [String: String]
  /// `terminationGracePeriodSeconds`; Kubernetes takes 30 where there is none.
  var grace: Placed<Int>?
  /// All of them, init containers first.
  var containers: [Container]

  init(_ template: Field) throws(YAMLError) {
    labels = [:]
    if let metadata = try template.member("metadata") {
      for (key, value) in try metadata.members("labels") { labels[key] = try value.text.value }
    }
    let spec = try template.needed("spec")
    line = spec.line
    grace = try spec.int("terminationGracePeriodSeconds")
    containers = []
    let (initial, main) = (try spec.list("initContainers"), try spec.list("containers"))
    guard initial.count + main.count <= Self.mostContainers else {
      throw spec.error("has more than \(Self.mostContainers) containers")
    }
    for field in initial { containers.append(try Container(field, isInitial: true)) }
    for field in main { containers.append(try Container(field, isInitial: false)) }
  }

  /// A guard: what is found depends on each with each.
  static let mostContainers = 100

  /// In seconds.
  static let standardGrace = 30
}
