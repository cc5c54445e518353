import Foundation
import PoolCore
import Support
import Testing

@testable import warmgate

/// One fault each: what replaces what in a manifest that has none, and what is found.
private struct Fault: CustomTestStringConvertible, Sendable {
  var old: String
  var new: String
  /// After the line's number.
  var finding: String
  /// Part of the line it is on.
  var place: String
  var others: [(old: String, new: String)] = []

  init(_ old: String, _ new: String, _ finding: String, at place: String, and others: (String, String)...) {
    (self.old, self.new, self.finding, self.place) = (old, new, finding, place)
    self.others = others
  }

  var testDescription: String { finding }
}

private let startup = "periodSeconds: 1, failureThreshold: 7200"
private let drainHook = "\n          lifecycle: {preStop: {exec: {command: [/warmgate, drain]}}}"
private let appHook = "\n          lifecycle: {preStop: {sleep: {seconds: 10}}}"

private let faults = [
  Fault(
    "Seconds: 45", "Seconds: 19",
    "error: grace-period: pod: terminationGracePeriodSeconds is 19, but to stop takes up to 20s: 10s the application "
      + "with its preStop, 20s the drain beside it: what has not finished by then is killed; "
      + "set terminationGracePeriodSeconds: 25", at: "GracePeriod"),
  Fault(
    "\n      terminationGracePeriodSeconds: 45", "",
    "error: grace-period: pod: terminationGracePeriodSeconds is 30, the default, but to stop takes up to 40s: "
      + "40s the application with its preStop, 20s the drain beside it: what has not finished by then is killed; "
      + "set terminationGracePeriodSeconds: 45", at: "    spec:", and: ("seconds: 10", "seconds: 40")),
  Fault(
    "[/warmgate, drain]", "[/warmgate, drain, --timeout, 50s]",
    "error: grace-period: pod: terminationGracePeriodSeconds is 45, but to stop takes up to 50s: 10s the application "
      + "with its preStop, 50s the drain beside it: what has not finished by then is killed; "
      + "set terminationGracePeriodSeconds: 55", at: "GracePeriod"),
  Fault(
    startup, "periodSeconds: 1, failureThreshold: 5",
    "error: startup-budget: warmgate: startupProbe gives up after 5s: warming takes up to 10s, and then the container "
      + "is killed; set failureThreshold: 3600, an hour or more", at: "startupProbe"),
  Fault(
    startup, "periodSeconds: 7, failureThreshold: 85, initialDelaySeconds: 4",
    "error: startup-budget: warmgate: startupProbe gives up after 599s: then the container is killed and started later "
      + "and later, and an outage of the database must not do that; set failureThreshold: 515, an hour or more",
    at: "startupProbe"),
  Fault(
    "periodSeconds: 5}", "periodSeconds: 5, timeoutSeconds: 5}",
    "advice: probe-timeout: warmgate: livenessProbe has timeoutSeconds 5 and periodSeconds 5: an answer that does not "
      + "come delays the next question, and the verdict with it; set timeoutSeconds: 2", at: "livenessProbe"),
  Fault(
    "/live, port: health", "/live, port: heath",
    "error: probe-port: warmgate: livenessProbe names the port \"heath\", which this container does not have: "
      + "it fails for ever; set ports: [{name: heath, containerPort: 8086}]", at: "livenessProbe"),
  Fault(
    "/healthz, port: http", "/healthz, port: web",
    "error: probe-port: app: readinessProbe names the port \"web\", which this container does not have: "
      + "it fails for ever; set ports: [{name: web}]", at: "/healthz"),
  Fault(
    "/ready, port: health", "/ready, port: 8087",
    "error: probe-port: warmgate: readinessProbe asks port 8087, but --listen is :8086: nothing answers there; "
      + "set port: 8086", at: "readinessProbe"),
  Fault(
    "--max-connections=3,", "--max-connections=3, \"--listen=[::1]:8086\",",
    "error: probe-port: warmgate: startupProbe asks the pod's address, but --listen is [::1]:8086: nothing answers "
      + "there; set --listen [::]:8086", at: "startupProbe",
    and: (
      "readinessProbe: {httpGet: {path: /ready, port: health}",
      "readinessProbe: {exec: {command: [/warmgate, probe, ready]}"
    ),
    (
      "livenessProbe: {httpGet: {path: /live, port: health}",
      "livenessProbe: {exec: {command: [/warmgate, probe, live]}"
    )),
  Fault(
    "/ready, port: health", "/ready, port: 8086",
    "advice: probe-port: warmgate: readinessProbe asks port 8086, which ports does not name: it works, but neither "
      + "people nor Services by name find it; set ports: [{name: health, containerPort: 8086}]",
    at: "readinessProbe", and: ("\n          ports: [{name: health, containerPort: 8086}]", ""),
    ("/startup, port: health", "/startup, port: 8086"),
    (
      "livenessProbe: {httpGet: {path: /live, port: health}",
      "livenessProbe: {exec: {command: [/warmgate, probe, live]}"
    ),
    (
      "startupProbe: {httpGet: {path: /startup, port: 8086}",
      "startupProbe: {exec: {command: [/warmgate, probe, startup]}"
    )),
  Fault(
    "path: /live", "path: /ready?verbose",
    "error: liveness-question: warmgate: livenessProbe asks about the database: an outage of it restarts the container "
      + "in every pod, which cures nothing; set path: /live", at: "livenessProbe"),
  Fault(
    "{httpGet: {path: /live, port: health}, periodSeconds: 5}",
    "{exec: {command: [/warmgate, probe, ready]}}",
    "error: liveness-question: warmgate: livenessProbe asks about the database: an outage of it restarts the container "
      + "in every pod, which cures nothing; set command: [/warmgate, probe, live]", at: "livenessProbe"),
  // In the application's container, by the address that they share.
  Fault(
    "{httpGet: {path: /healthz, port: http}}",
    "{httpGet: {path: /healthz, port: http}}\n          livenessProbe: {httpGet: {path: /, port: 8086}}",
    "error: liveness-question: app: livenessProbe asks about the database: an outage of it restarts the container "
      + "in every pod, which cures nothing; set path: /live", at: "path: /,"),
  Fault(
    "path: /ready", "path: /live",
    "advice: readiness-question: warmgate: readinessProbe does not ask whether the database answers now: the pod stays "
      + "in its Service without one; set path: /ready", at: "readinessProbe"),
  Fault(
    "\n          readinessProbe: {httpGet: {path: /ready, port: health}, periodSeconds: 2, failureThreshold: 1}",
    "",
    "advice: readiness-question: warmgate: no readinessProbe asks it: the pod is in its Service whatever the database "
      + "does; set readinessProbe: {httpGet: {path: /ready, port: 8086}}", at: "- name: warmgate"),
  Fault(
    "exec: {command: [/warmgate, drain]}", "httpGet: {path: /quit, port: 8087}",
    "error: drain-hook: warmgate: preStop ends the sidecar: Kubernetes restarts a native sidecar until the application "
      + "has ended; set preStop: {exec: {command: [/warmgate, drain]}}", at: "/quit"),
  Fault(
    "[/warmgate, drain]", "[sh, -c, \"sleep 1; kill 1\"]",
    "error: drain-hook: warmgate: preStop ends the sidecar: Kubernetes restarts a native sidecar until the application "
      + "has ended; set preStop: {exec: {command: [/warmgate, drain]}}", at: "kill"),
  Fault(
    "sleep: {seconds: 10}", "exec: {command: [curl, -X, POST, \"http://127.0.0.1:8087/quit\"]}",
    "error: drain-hook: app: preStop ends warmgate: Kubernetes restarts a native sidecar until the application "
      + "has ended; set in warmgate instead preStop: {exec: {command: [/warmgate, drain]}}", at: "/quit"),
  Fault(
    drainHook, "",
    "advice: drain-hook: warmgate: nothing drains it when the pod is deleted: it gets SIGTERM after the application has "
      + "ended, and says ready until then; set preStop: {exec: {command: [/warmgate, drain]}}",
    at: "- name: warmgate"),
  Fault(
    "periodSeconds: 2, failureThreshold: 1", "periodSeconds: 10, failureThreshold: 3",
    "advice: drain-delay: warmgate: a drain keeps serving for 5s only: the kubelet's readinessProbe takes up to 30s to "
      + "notice a drain that is no deletion; set --drain-delay 30s and give the drain 50s in all",
    at: "- name: warmgate"),
  Fault(
    appHook, "",
    "advice: app-hook: app: gets SIGTERM at once, without a preStop hook: requests still arrive until everybody has "
      + "noticed, up to 5s; set preStop: {sleep: {seconds: 5}}", at: "- name: app"),
  Fault(
    "seconds: 10", "seconds: 3",
    "advice: app-hook: app: gets SIGTERM 3s after the pod is deleted: requests still arrive until everybody has noticed, "
      + "up to 5s; set preStop: {sleep: {seconds: 5}}", at: "sleep:"),
  Fault(
    "\n          restartPolicy: Always", "",
    "error: sidecar-kind: warmgate: an init container that runs serve, without restartPolicy: Always: serve does not "
      + "end, so no other container ever starts; set restartPolicy: Always", at: "- name: warmgate"),
  Fault(
    "--max-connections=3", "--max-connections=three",
    "error: setting: warmgate: --max-connections \"three\": give a whole number that is not negative: serve ends with "
      + "exit code 2", at: "args:"),
  Fault(
    "--max-connections=3", "--max-connection=3",
    "error: setting: warmgate: unknown option \"--max-connection\": did you mean --max-connections?: serve ends with "
      + "exit code 2", at: "args:"),
  Fault(
    "value: \"2\"", "value: \"4\"",
    "error: setting: warmgate: --max-connections \"3\": must be at least min-connections (4): the ceiling counts the "
      + "floor: serve ends with exit code 2", at: "args:"),
  Fault(
    "WARMGATE_MIN_CONNECTIONS, value: \"2\"", "WARMGATE_FALL, value: \"0\"",
    "error: setting: warmgate: WARMGATE_FALL \"0\": must be between 1 and 100: it counts probes, and readiness waits for "
      + "them: serve ends with exit code 2", at: "WARMGATE_FALL"),
  Fault(
    "WARMGATE_MIN_CONNECTIONS, value: \"2\"", "WARMGATE_MIN_CONECTIONS, value: \"2\"",
    "advice: setting: warmgate: \"WARMGATE_MIN_CONECTIONS\" is not a setting and is ignored; did you mean "
      + "WARMGATE_MIN_CONNECTIONS?", at: "CONECTIONS"),
  Fault(
    "[serve, --max", "[--max",
    "error: setting: warmgate: the first argument is not serve: it ends at once; set args: [serve, …]",
    at: "args:"),
  Fault(
    "20s]", "20s, now]",
    "error: setting: warmgate: unexpected argument \"now\": serve ends with exit code 2", at: "args:"),
]

@Suite struct ManifestFindingsTests {
  private func findings(_ manifest: ShopManifest) throws -> [String] {
    try manifest.planned().findings.map { $0.text(file: "shop.yaml") }
  }

  @Test("a manifest with nothing wrong in it has no finding")
  func nothing() throws {
    #expect(try findings(ShopManifest()) == [])
  }

  @Test("each fault is found, and nothing else", arguments: faults)
  private func found(fault: Fault) throws {
    var manifest = ShopManifest().replacing(fault.old, fault.new)
    for (old, new) in fault.others { manifest = manifest.replacing(old, new) }
    let line = try #require(manifest.line(of: fault.place))
    #expect(try findings(manifest) == ["shop.yaml:\(line): \(fault.finding)"])
  }

  @Test("every rule has a fault here")
  func rules() {
    let tested = Set(
      faults.compactMap { $0.finding.split(separator: ": ").dropFirst().first.map(String.init) })
    #expect(Set(Finding.Rule.allCases.map(\.rawValue)) == tested)
  }

  @Test("the least period and timeout there are do not count as a timeout that is too long")
  func leastTimeout() throws {
    #expect(try findings(ShopManifest().replacing(startup, startup + ", timeoutSeconds: 1")) == [])
  }

  @Test("a sidecar that gates on /live may give up sooner: that is no question about the database")
  func gateOnLive() throws {
    let manifest = ShopManifest().replacing("path: /startup", "path: /live").replacing(
      startup, "failureThreshold: 30")
    #expect(try findings(manifest) == [])
  }

  @Test("warming that takes longer by its own settings, or by the user's word, needs a longer budget")
  func warming() throws {
    let manifest = ShopManifest().replacing(startup, "failureThreshold: 70")
    #expect(try findings(manifest) == [])
    let slow = manifest.replacing("--max-connections=3,", "--max-connections=3, --splay=15m,")
    #expect(try findings(slow).count == 1)
    #expect(try manifest.planned(readyAfter: .seconds(701)).findings.first?.rule == .startupBudget)
  }

  @Test("the time that the application needs after SIGTERM counts if it is said")
  func appStop() throws {
    #expect(try ShopManifest().planned(appStop: .seconds(35)).findings == [])
    #expect(try ShopManifest().planned(appStop: .seconds(36)).findings.map(\.rule) == [.gracePeriod])
  }

  @Test("hooks of all kinds are understood: a drain in the application's own, by shell, by HTTP")
  func drains() throws {
    let apart = ShopManifest().replacing(drainHook, "")
    for hook in [
      "exec: {command: [/shared/warmgate, drain, --timeout=30s]}",
      "exec: {command: [sh, -c, \"/shared/warmgate drain --timeout 30s; sleep 1\"]}",
    ] {
      #expect(try findings(apart.replacing("sleep: {seconds: 10}", hook)) == [], "\(hook)")
      let short = apart.replacing("sleep: {seconds: 10}", hook).replacing("Seconds: 45", "Seconds: 29")
      #expect(try short.planned().findings.map(\.rule) == [.gracePeriod], "\(hook)")
    }
    // An application may well end itself.
    let ends = "exec: {command: [sh, -c, \"sleep 10 && kill -QUIT 1\"]}"
    #expect(try findings(ShopManifest().replacing("sleep: {seconds: 10}", ends)) == [])
    let soon = ShopManifest().replacing("sleep: {seconds: 10}", ends.replacing("10", with: "4"))
    #expect(try soon.planned().findings.map(\.rule) == [.appHook])
    let late = ShopManifest().replacing("sleep: {seconds: 10}", ends.replacing("10", with: "46"))
    #expect(try late.planned().findings.map(\.rule) == [.gracePeriod])
    let http = ShopManifest().replacing(
      "exec: {command: [/warmgate, drain]}", "httpGet: {path: \"/drain?timeout=46s\", port: 8087}")
    #expect(try http.planned().findings.map(\.rule) == [.gracePeriod])
  }

  @Test("a Job's Warmgate is a native sidecar, or the work ends it")
  func job() throws {
    let job = ShopManifest().replacing("kind: Deployment", "kind: Job").replacing(
      "replicas: 3\n  strategy:\n    rollingUpdate:\n      maxSurge: 1\n      maxUnavailable: 0",
      "parallelism: 2")
    // What is about traffic does not concern a Job.
    #expect(try findings(job.replacing(appHook, "").replacing(drainHook, "")) == [])
    let beside = job.replacing(
      "      containers:\n", ""
    ).replacing("initContainers", "containers").replacing(
      "\n          restartPolicy: Always", "")
    let line = try #require(beside.line(of: "- name: warmgate"))
    #expect(
      try findings(beside) == [
        "shop.yaml:\(line): error: sidecar-kind: warmgate: runs beside the Job's own container: serve does not end, so the "
          + "Job never completes; move it to initContainers with restartPolicy: Always, or POST /quit to it when the work "
          + "is done"
      ])
    let quits = beside.replacing(
      "image: shop",
      "image: shop\n          args: [sh, -c, \"work; curl -X POST http://127.0.0.1:8087/quit\"]")
    #expect(try findings(quits) == [])
  }

  @Test(
    "a load balancer that asks for longer than the drain delay is found, where the manifest says how often it asks",
    arguments: [
      (
        "example.com/kind: none",
        "service.beta.kubernetes.io/aws-load-balancer-healthcheck-interval: \"5\"", "", "the annotations",
        "5s",
        3, "15s"
      ),
      (
        "example.com/kind: none", "cloud.google.com/backend-config: '{\"default\": \"slow\"}'",
        """
        ---
        apiVersion: cloud.google.com/v1
        kind: BackendConfig
        metadata: {name: slow}
        spec: {healthCheck: {checkIntervalSec: 15, unhealthyThreshold: 4}}

        """, "the BackendConfig", "15s", 4, "1m"
      ),
      (
        "example.com/kind: none", "example.com/kind: none",
        """
        ---
        apiVersion: networking.k8s.io/v1
        kind: Ingress
        metadata: {name: shop, annotations: {alb.ingress.kubernetes.io/healthcheck-interval-seconds: "20"}}
        spec: {ingressClassName: alb, rules: [{http: {paths: [{backend: {service: {name: shop}}}]}}]}

        """, "the annotations", "20s", 2, "40s"
      ),
      (
        "example.com/kind: none", "example.com/kind: none",
        """
        ---
        apiVersion: networking.k8s.io/v1
        kind: Ingress
        metadata: {name: shop}
        spec: {ingressClassName: alb, defaultBackend: {service: {name: shop}}}

        """, "the defaults of the class alb", "15s", 2, "30s"
      ),
    ])
  func annotated(
    old: String, new: String, more: String, source: String, interval: String, fall: Int, time: String
  ) throws {
    let manifest = ShopManifest(ShopManifest.shop + ShopManifest.service.replacing(old, with: new) + more)
    let all = try manifest.planned().findings
    #expect(all.map(\.rule) == [.drainDelay, .appHook])
    #expect(all.first?.severity == (source.contains("defaults") ? .advice : .error))
    #expect(
      all.first?.why?.hasSuffix(
        "asks every \(interval) and gives up after \(fall), so it sends requests for \(time)")
        == true)
    #expect(all.first?.why?.hasPrefix("the load balancer of \(source) on line ") == true)
    // What it says to do is right.
    let repaired = manifest.replacing("20s]", "2m, --drain-delay, \(time)]").replacing(
      "seconds: 10", "seconds: 60"
    )
    .replacing("Seconds: 45", "Seconds: 120")
    #expect(try findings(repaired) == [])
    // Somebody else's.
    #expect(try findings(manifest.replacing("selector: {app: shop}", "selector: {app: cart}")) == [])
  }

  @Test("a load balancer can be named on the command line, and a drain that ends too soon does not help")
  func balancer() throws {
    let balancer = LoadBalancer(interval: .seconds(2), fall: 3, source: "--lb-interval", line: nil)
    #expect(try ShopManifest().planned(balancer: balancer).findings.map(\.rule) == [.drainDelay])
    let longer = ShopManifest().replacing("20s]", "20s, --drain-delay=6s]")
    #expect(try longer.planned(balancer: balancer).findings == [])
    let cut = longer.replacing("[/warmgate, drain]", "[/warmgate, drain, --timeout, 10s]")
    #expect(try cut.planned(balancer: balancer).findings.map(\.rule) == [.drainDelay])
  }

  @Test("no finding shows a password or begins a line of its own")
  func secrets() throws {
    let manifest = ShopManifest().replacing(
      "{name: DATABASE_URL, valueFrom: {secretKeyRef: {name: shop, key: url}}}",
      "{name: WARMGATE_DATABASE_URL, value: \"postgresql://shop:s3cret@db/shop\"}"
    ).replacing("--max-connections=3", "\"--databse-url=postgresql://shop:s3cret@db/shop\", \"--x\\ny\"")
      .replacing("- name: app", "- name: \"app\\nshop.yaml:1: error\"").replacing(appHook, "")
    let all = try findings(manifest)
    #expect(all.count == 2)
    #expect(!all.joined().contains("s3cret") && !all.joined().contains("\n"))
  }

  @Test("the manifests of this repository have no error", .enabled(if: hasKubectl, "kubectl builds them"))
  func repository() async throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("k8s")
    let place = try TemporaryDirectory()
    try await runChecked(["cp", "-r", root.path, "\(place.path)/k8s"])
    let files = FileManager.default.enumerator(atPath: "\(place.path)/k8s")
    var (planned, built) = (0, 0)
    while let file = files?.nextObject() as? String {
      guard file.hasSuffix("kustomization.yaml") else { continue }
      let name = "k8s/" + file.dropLast("kustomization.yaml".count)
      var folder = place.path + "/" + name
      // A component is built on top of the base.
      if try String(contentsOfFile: place.path + "/k8s/" + file, encoding: .utf8).contains("kind: Component")
      {
        built += 1
        let over = "\(place.path)/over-\(built)"
        try FileManager.default.createDirectory(atPath: over, withIntermediateDirectories: false)
        try "resources: [../k8s/base]\ncomponents: [../\(name)]\n".write(
          toFile: over + "/kustomization.yaml", atomically: true, encoding: .utf8)
        folder = over
      }
      let answer = try await run(["kubectl", "kustomize", folder])
      // One may need a file that is not in the repository, such as a secret.
      if answer.errors.contains("no such file") { continue }
      try #require(answer.succeeded, "\(answer.errors)")
      for workload in try ManifestFile(Array(answer.output.utf8), called: name).manifest.workloads {
        let plan: PlannedWorkload
        do {
          plan = try ShopManifest(answer.output).planned(name: workload.name, replicas: 3)
        } catch  where "\(error)".contains(" is a Warmgate: ") {
          continue
        }
        planned += 1
        let errors = plan.findings.filter { $0.severity == .error }.map { $0.text(file: name) }
        #expect(errors == [], "\(workload.name)")
      }
    }
    #expect(planned > 0)
  }
}

private let hasKubectl = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").contains {
  FileManager.default.isExecutableFile(atPath: "\($0)/kubectl")
}
