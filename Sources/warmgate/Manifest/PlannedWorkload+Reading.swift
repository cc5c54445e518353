import PoolCore
import YAML

extension PlannedWorkload {
  /// What the command line of `plan` gives with a manifest.
  struct Flags {
    var replicas: Int?
    var surge: PodCount?
    var unavailable: PodCount?
    var appConnections: Int?
    var readyAfter: Duration?
    var appStop: Duration?
    var balancer: LoadBalancer?
    /// Of the settings of `serve` too.
    var arguments: Arguments
  }

  init(_ file: ManifestFile, name: String?, container: String?, _ flags: Flags) throws(UsageError) {
    self.file = file
    var (workload, sidecars) = try file.workload(named: name, container: container)
    for index in sidecars.indices { try sidecars[index].override(with: flags.arguments) }
    var balancers = [flags.balancer].compactMap(\.self)
    do throws(YAMLError) {
      if balancers.isEmpty { balancers = try file.manifest.loadBalancers(of: workload) }
    } catch { throw file.error(error) }
    workload.meta.name = workload.meta.name.isEmpty ? "(no name)" : workload.meta.name
    (self.workload, self.sidecars) = (workload, sidecars)
    counted = container == nil ? sidecars : sidecars.filter { $0.container.name == container }
    let readyAfter = flags.readyAfter ?? RolloutPlan.Fleet.standardReadyAfter
    let review = PodReview(
      workload: workload, sidecars: sidecars, balancers: balancers, readyAfter: readyAfter,
      appStop: flags.appStop ?? .zero)
    findings = review.findings
    fleet = RolloutPlan.Fleet(
      replicas: 0, surge: 0, unavailable: 0, minConnections: 0, maxConnections: 0,
      appConnections: flags.appConnections ?? 0, drains: .zero, readyAfter: readyAfter)
    try count(flags)
    countSessions(flags, review)
    note("ready-after", readyAfter.settingText, flags.readyAfter == nil ? .standard : .flag)
    if let minReady = workload.minReady, minReady.value > 0 {
      note("minReadySeconds", "\(minReady.value)", Number.Source(minReady.line))
      fleet.readyAfter += .seconds(minReady.value)
    }
    note("app-stop", (flags.appStop ?? .zero).settingText, flags.appStop == nil ? .standard : .flag)
    for balancer in balancers {
      note(
        "load balancer", "\(balancer.interval.settingText) × \(balancer.fall)",
        balancer.line.map { .line($0, of: balancer.source) } ?? .flag)
    }
  }

  private mutating func note(_ name: String, _ value: String, _ source: Number.Source) {
    numbers.append(Number(name: name, value: value, source: source))
  }

  /// The pods.
  private mutating func count(_ flags: Flags) throws(UsageError) {
    let autoscaler = file.manifest.autoscalers.first {
      $0.targetKind == workload.kind.rawValue && $0.targetName == workload.meta.name
        && $0.meta.namespace == workload.meta.namespace
    }
    if let replicas = flags.replicas {
      fleet.replicas = replicas
      note("replicas", "\(replicas)", .flag)
    } else if let most = autoscaler?.maxReplicas {
      fleet.replicas = most.value
      note("replicas", "\(most.value)", .line(most.line, of: "maxReplicas of its HorizontalPodAutoscaler"))
    } else if workload.kind == .daemonSet {
      throw file.error("\(workload.name.shown) has a pod on every node: say how many with --replicas NUMBER")
    } else {
      fleet.replicas = workload.replicas?.value ?? 1
      note("replicas", "\(fleet.replicas)", Number.Source(workload.replicas?.line))
    }
    let isGiven = flags.surge != nil || flags.unavailable != nil
    switch workload.replacement {
    case .never where isGiven, .rolling where isGiven && workload.kind == .statefulSet:
      throw file.error("--max-surge and --max-unavailable go with a Deployment or a DaemonSet only")
    case .never: fleet.replacement = .never
    case .afterwards(let type) where !isGiven:
      fleet.replacement = .afterwards
      note("strategy", type.value, Number.Source(type.line))
    case .afterwards: try roll(flags, nil, nil)
    case .rolling(let surge, let unavailable): try roll(flags, surge, unavailable)
    }
  }

  private mutating func roll(
    _ flags: Flags, _ surge: Placed<PodCount>?, _ unavailable: Placed<PodCount>?
  ) throws(UsageError) {
    let isDeployment = workload.kind == .deployment
    let standard: (PodCount, PodCount) =
      isDeployment ? (.percent(25), .percent(25)) : (.number(0), .number(1))
    let more = flags.surge ?? surge?.value ?? standard.0
    let fewer = flags.unavailable ?? unavailable?.value ?? standard.1
    if more.isZero, fewer.isZero {
      throw file.error("maxSurge and maxUnavailable are both 0: Kubernetes could never roll that")
    }
    // A StatefulSet's pod keeps its name, and a DaemonSet's its node to itself unless a surge is allowed: the old one has
    // to be gone.
    fleet.replacement = isDeployment || !more.isZero ? .rolling : .afterwards
    fleet.roll(more, fewer, roundingUp: !isDeployment)
    if workload.kind != .statefulSet {
      note(
        "max-surge", ValueKind<PodCount>.podCount.write(more),
        flags.surge == nil ? Number.Source(surge?.line) : .flag)
    }
    note(
      "max-unavailable", ValueKind<PodCount>.podCount.write(fewer),
      flags.unavailable == nil ? Number.Source(unavailable?.line) : .flag)
  }

  /// The sessions of a pod, and how long it keeps them when it is deleted.
  private mutating func countSessions(_ flags: Flags, _ review: PodReview) {
    fleet.pools = counted.count
    let grace = Duration.seconds(workload.pod.grace?.value ?? PodTemplate.standardGrace)
    for sidecar in counted {
      let pool = sidecar.settings.pool
      fleet.minConnections += pool.minConnections
      fleet.maxConnections += pool.maxConnections
      let prefix = counted.count > 1 ? "\(sidecar.container.name.shown): " : ""
      for (flag, value) in [
        ("min-connections", pool.minConnections), ("max-connections", pool.maxConnections),
      ] {
        let source: Number.Source =
          flags.arguments.has(flag) ? .flag : Number.Source(sidecar.lines[flag])
        note(prefix + flag, "\(value)", source)
      }
      let (drains, source) = drains(sidecar, flags, review, grace)
      fleet.drains = max(fleet.drains, drains)
      note(prefix + "drain", drains.settingText, source)
    }
    note("app-connections", "\(fleet.appConnections)", flags.appConnections == nil ? .standard : .flag)
    let source = Number.Source(workload.pod.grace?.line)
    note("terminationGracePeriodSeconds", "\(grace.components.seconds)", source)
    // The application may keep its own until it is killed.
    if fleet.appConnections > 0 { fleet.drains = grace }
  }

  /// How long the sidecar of a deleted pod holds its sessions, at most.
  private func drains(
    _ sidecar: WarmgateContainer, _ flags: Flags, _ review: PodReview, _ grace: Duration
  ) -> (Duration, Number.Source) {
    let limit = sidecar.settings.pool.drainTimeout
    if flags.arguments.has("drain-timeout") { return (limit, .flag) }
    for container in [sidecar.container] + review.apps {
      if case .drains(let time)? = review.hook(of: container) {
        return (min(time, grace), .line(container.preStop?.line ?? container.line, of: "preStop"))
      }
    }
    // It holds them until the application has ended.
    if sidecar.isNative { return (grace, Number.Source(workload.pod.grace?.line, of: "grace period")) }
    return (min(limit, grace), Number.Source(sidecar.lines["drain-timeout"]))
  }
}
