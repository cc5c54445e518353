import PoolCore

extension PodReview {
  var kinds: [Finding] {
    sidecars.compactMap { sidecar in
      let container = sidecar.container
      if container.role == .initial {
        return Finding(
          .sidecarKind, .error, container.line, container.name,
          "an init container that runs serve, without restartPolicy: Always",
          why: "serve does not end, so no other container ever starts", set: "set restartPolicy: Always")
      }
      guard isJob, container.role == .main, !mentionsQuit else { return nil }
      return Finding(
        .sidecarKind, .error, container.line, container.name, "runs beside the Job's own container",
        why: "serve does not end, so the Job never completes",
        set: "move it to initContainers with restartPolicy: Always, or POST /quit to it when the work is done"
      )
    }
  }

  /// The work itself ends Warmgate.
  private var mentionsQuit: Bool {
    apps.contains { app in (app.command + app.arguments).contains { $0.value.contains("/quit") } }
  }

  var hooks: [Finding] {
    sidecars.flatMap { sidecar -> [Finding] in
      guard sidecar.isNative else { return [] }
      let container = sidecar.container
      var all: [Finding] = []
      let ending = [container] + apps.filter { ends(sidecar, from: $0) }
      for other in ending {
        guard case .ends? = hook(of: other) else { continue }
        let place = other.name == container.name ? "" : "in \(container.name.shown) instead "
        all.append(
          Finding(
            .drainHook, .error, other.preStop?.line ?? other.line, other.name,
            "preStop ends \(other.name == container.name ? "the sidecar" : container.name.shown)",
            why: "Kubernetes restarts a native sidecar until the application has ended",
            set: "set \(place)preStop: {exec: {command: [/warmgate, drain]}}"))
      }
      if case .drains? = hook(of: container) { return all }
      if isJob || appDrains || !all.isEmpty { return all }
      all.append(
        Finding(
          .drainHook, .advice, container.preStop?.line ?? container.line, container.name,
          "nothing drains it when the pod is deleted",
          why: "it gets SIGTERM after the application has ended, and says ready until then",
          set: "set preStop: {exec: {command: [/warmgate, drain]}}"))
      return all
    }
  }

  /// An application may well end itself; its hook is about us if it says the admin port.
  private func ends(_ sidecar: WarmgateContainer, from app: Container) -> Bool {
    guard case .exec(let words)? = app.preStop?.action, let port = sidecar.settings.adminListen.port else {
      return false
    }
    return words.contains { $0.value.contains(":\(port)/quit") }
  }

  /// How long a drain lets traffic go on, at least: it ends 5 s before its deadline.
  private func lameDuck(_ sidecar: WarmgateContainer) -> Duration {
    var deadline = sidecar.settings.pool.drainTimeout
    for container in [sidecar.container] + apps {
      if case .drains(let own)? = hook(of: container) { deadline = own }
    }
    return max(.zero, min(sidecar.settings.pool.drainDelay, deadline - .seconds(5)))
  }

  var delays: [Finding] {
    if isJob { return [] }
    return sidecars.flatMap { sidecar -> [Finding] in
      let container = sidecar.container
      let delay = lameDuck(sidecar)
      let line = sidecar.lines["drain-delay"] ?? container.line
      func finding(_ severity: Finding.Severity, _ needed: Duration, _ why: String) -> Finding {
        Finding(
          .drainDelay, severity, line, container.name,
          "a drain keeps serving for \(delay.settingText) only", why: why,
          set:
            "set --drain-delay \(needed.settingText) and give the drain \((needed + .seconds(20)).settingText) in all"
        )
      }
      var all: [Finding] = []
      if let slowest = balancers.max(by: { $0.notices < $1.notices }), slowest.notices > delay {
        let place = slowest.line.map { " on line \($0)" } ?? ""
        all.append(
          finding(
            slowest.isGiven ? .error : .advice, slowest.notices,
            "the load balancer of \(slowest.source)\(place) asks every \(slowest.interval.settingText) and gives up "
              + "after \(slowest.fall), so it sends requests for \(slowest.notices.settingText)"))
      }
      let kubelet = asked.filter {
        $0.name == "readinessProbe" && $0.sidecar.container.name == container.name
          && Question($0.probe.action) == .ready
      }.map { Duration.seconds($0.probe.periodInForce * $0.probe.failuresInForce) }.max()
      if all.isEmpty, let kubelet, kubelet > delay {
        all.append(
          finding(
            .advice, kubelet,
            "the kubelet's readinessProbe takes up to \(kubelet.settingText) to notice a drain that is no deletion"
          ))
      }
      return all
    }
  }

  /// Until nobody sends to a deleted pod any more.
  private var noticed: Duration {
    (sidecars.map(lameDuck) + balancers.map(\.notices)).max() ?? .zero
  }

  var appHooks: [Finding] {
    if isJob { return [] }
    let wanted = max(noticed, .seconds(1))
    return apps.compactMap { app in
      // One without either serves nobody.
      guard !app.ports.isEmpty || app.readinessProbe != nil else { return nil }
      let set = "set preStop: {sleep: {seconds: \(wanted.wholeSeconds)}}"
      let why = "requests still arrive until everybody has noticed, up to \(wanted.settingText)"
      switch hook(of: app) {
      case nil:
        return Finding(
          .appHook, .advice, app.line, app.name, "gets SIGTERM at once, without a preStop hook", why: why,
          set: set)
      case .sleeps(let time) where time < wanted, .ends(let time) where time > .zero && time < wanted:
        return Finding(
          .appHook, .advice, app.preStop?.line ?? app.line, app.name,
          "gets SIGTERM \(time.settingText) after the pod is deleted", why: why, set: set)
      default: return nil
      }
    }
  }

  var grace: [Finding] {
    let apps =
      apps.map { app -> Duration in
        switch hook(of: app) {
        case .sleeps(let time), .drains(let time), .ends(let time): time + appStop
        case .other, nil: appStop
        }
      }.max() ?? .zero
    let drains =
      sidecars.map { sidecar -> Duration in
        if case .drains(let time)? = hook(of: sidecar.container) { return time }
        // It begins to drain at SIGTERM: beside the application, or after it, when nothing is left to wait for.
        return sidecar.container.role == .main && !appDrains ? sidecar.settings.pool.drainTimeout : .zero
      }.max() ?? .zero
    let needed = max(apps, drains)
    let seconds = pod.grace?.value ?? PodTemplate.standardGrace
    guard .seconds(seconds) < needed else { return [] }
    let standard = pod.grace == nil ? ", the default" : ""
    return [
      Finding(
        .gracePeriod, .error, pod.grace?.line ?? pod.line, "pod",
        "terminationGracePeriodSeconds is \(seconds)\(standard), but to stop takes up to \(needed.settingText): "
          + "\(apps.settingText) the application with its preStop, \(drains.settingText) the drain beside it",
        why: "what has not finished by then is killed",
        set: "set terminationGracePeriodSeconds: \(needed.wholeSeconds + 5)")
    ]
  }
}

extension Duration {
  /// Rounded up.
  fileprivate var wholeSeconds: Int64 {
    let nanoseconds = inNanoseconds
    return nanoseconds / 1_000_000_000 + (nanoseconds % 1_000_000_000 > 0 ? 1 : 0)
  }
}
