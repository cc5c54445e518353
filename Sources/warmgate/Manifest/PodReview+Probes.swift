import Health
import PoolCore

extension PodReview {
  /// An outage of the database, or a failover that takes long, must not get a container killed.
  static let leastBudget = 600
  static let rightBudget = 3600

  var startup: [Finding] {
    asked.compactMap { probe, name, container, sidecar in
      guard name == "startupProbe" else { return nil }
      switch Question(probe.action) {
      case .live, .other: return nil
      case .ready, .startup: break
      }
      let settings = sidecar.settings.pool
      let warming = max(readyAfter, settings.splay + settings.connectTimeout)
      let line = probe.failureThreshold?.line ?? probe.period?.line ?? probe.line
      let set =
        "set failureThreshold: \((Self.rightBudget + probe.periodInForce - 1) / probe.periodInForce), an hour or more"
      let what = "startupProbe gives up after \(probe.budget)s"
      if .seconds(probe.budget) < warming {
        return Finding(
          .startupBudget, .error, line, container.name, what,
          why: "warming takes up to \(warming.settingText), and then the container is killed", set: set)
      }
      guard probe.budget < Self.leastBudget else { return nil }
      return Finding(
        .startupBudget, .error, line, container.name, what,
        why:
          "then the container is killed and started later and later, and an outage of the database must not do that",
        set: set)
    }
  }

  var questions: [Finding] {
    var all: [Finding] = []
    for (probe, name, container, _) in asked {
      let question = Question(probe.action)
      let hasStarted = container.startupProbe.map { Question($0.action) != .live } ?? false
      switch (name, question) {
      case ("livenessProbe", .ready),
        ("livenessProbe", .startup) where !hasStarted:
        all.append(
          Finding(
            .livenessQuestion, .error, probe.line, container.name,
            "livenessProbe asks about the database",
            why: "an outage of it restarts the container in every pod, which cures nothing",
            set: "set \(Question.live.written(like: probe.action))"))
      case ("readinessProbe", .live), ("readinessProbe", .startup):
        all.append(
          Finding(
            .readinessQuestion, .advice, probe.line, container.name,
            "readinessProbe does not ask whether the database answers now",
            why: "the pod stays in its Service without one",
            set: "set \(Question.ready.written(like: probe.action))"))
      default: break
      }
    }
    for sidecar in sidecars where !isJob {
      let isAsked = asked.contains {
        $0.name == "readinessProbe" && $0.sidecar.container.name == sidecar.container.name
      }
      if !isAsked {
        all.append(
          Finding(
            .readinessQuestion, .advice, sidecar.container.line, sidecar.container.name,
            "no readinessProbe asks it", why: "the pod is in its Service whatever the database does",
            set:
              "set readinessProbe: {httpGet: {path: /ready, port: \(sidecar.settings.listen.port ?? 8086)}}"))
      }
    }
    return all
  }

  var timeouts: [Finding] {
    pod.containers.flatMap { container in
      container.probes.compactMap { name, probe in
        let (timeout, period) = (probe.timeoutInForce, probe.periodInForce)
        // Neither can be less than 1.
        guard timeout >= period, timeout > 1 else { return nil }
        return Finding(
          .probeTimeout, .advice, probe.timeout?.line ?? probe.period?.line ?? probe.line, container.name,
          "\(name) has timeoutSeconds \(timeout) and periodSeconds \(period)",
          why: "an answer that does not come delays the next question, and the verdict with it",
          set: period > 1
            ? "set timeoutSeconds: \(min(period - 1, 2))" : "set timeoutSeconds: 1")
      }
    }
  }

  var ports: [Finding] {
    pod.containers.flatMap { container in
      container.probes.compactMap { name, probe in port(of: probe, name, container) }
    }
  }

  private func port(of probe: ContainerProbe, _ name: String, _ container: Container) -> Finding? {
    guard let port = probe.port else { return nil }
    func finding(_ severity: Finding.Severity, _ what: String, _ why: String, _ set: String) -> Finding {
      Finding(.probePort, severity, port.line, container.name, "\(name) \(what)", why: why, set: set)
    }
    let sidecar = sidecars.first { $0.container.name == container.name }
    guard let number = container.number(of: port.value) else {
      guard case .name(let meant) = port.value else { return nil }
      let example = sidecar.flatMap(\.settings.listen.port).map { ", containerPort: \($0)" } ?? ""
      return finding(
        .error, "names the port \(meant.quoted), which this container does not have", "it fails for ever",
        "set ports: [{name: \(meant.shown)\(example)}]")
    }
    guard let sidecar else { return nil }
    let isHTTP = if case .http = probe.action { true } else { false }
    let listen = sidecar.settings.listen
    if isHTTP, listen.isLoopback || listen.isUnix {
      return finding(
        .error, "asks the pod's address, but --listen is \(listen)", "nothing answers there",
        "set --listen [::]:\(number)")
    }
    if isHTTP, let own = listen.port.map(Int.init), own != number {
      return finding(
        .error, "asks port \(number), but --listen is \(listen)", "nothing answers there",
        "set port: \(own)")
    }
    if !container.ports.contains(where: { $0.number == number }) {
      return finding(
        .advice, "asks port \(number), which ports does not name",
        "it works, but neither people nor Services by name find it",
        "set ports: [{name: health, containerPort: \(number)}]")
    }
    return nil
  }
}
