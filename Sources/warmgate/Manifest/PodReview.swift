import PoolCore

/// Looks for what is wrong with a pod that has Warmgate in it.
struct PodReview {
  let workload: Workload
  let sidecars: [WarmgateContainer]
  let balancers: [LoadBalancer]
  /// From a pod's creation until it is ready.
  let readyAfter: Duration
  /// From SIGTERM until the application has ended.
  let appStop: Duration

  /// In the order of their lines.
  var findings: [Finding] {
    let all =
      sidecars.flatMap(\.findings) + kinds + startup + questions + ports + timeouts + hooks + delays
      + appHooks
      + grace
    return all.sorted { ($0.line, $0.rule.rawValue) < ($1.line, $1.rule.rawValue) }
  }

  var pod: PodTemplate { workload.pod }
  var isJob: Bool { workload.kind == .job }

  /// The main containers that are not ours.
  var apps: [Container] {
    pod.containers.filter { container in
      container.role == .main && !sidecars.contains { $0.container.name == container.name }
    }
  }

  /// What the hook of a container comes to; nil if it has none.
  func hook(of container: Container) -> HookMeaning? {
    let longest = sidecars.map(\.settings.pool.drainTimeout).max() ?? .zero
    let own = sidecars.first { $0.container.name == container.name }?.settings.pool.drainTimeout
    return container.preStop.map { HookMeaning($0, drainTimeout: own ?? longest) }
  }

  /// The application's own hook drains Warmgate.
  var appDrains: Bool {
    apps.contains { if case .drains? = hook(of: $0) { true } else { false } }
  }

  /// Every probe that asks a Warmgate of this pod, whichever container it is written in: they share an address.
  var asked: [(probe: ContainerProbe, name: String, container: Container, sidecar: WarmgateContainer)] {
    var all: [(ContainerProbe, String, Container, WarmgateContainer)] = []
    for container in pod.containers {
      let own = sidecars.first { $0.container.name == container.name }
      for (name, probe) in container.probes {
        let number = probe.port.flatMap { container.number(of: $0.value) }
        let other = sidecars.first { number != nil && $0.settings.listen.port.map(Int.init) == number }
        if let sidecar = own ?? other { all.append((probe, name, container, sidecar)) }
      }
    }
    return all
  }
}
