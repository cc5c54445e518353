import Foundation
import PoolCore
import Support
import Testing

@testable import warmgate

@Suite struct ManifestTests {
  private func refusal(_ manifest: ShopManifest, name: String? = nil, container: String? = nil) -> String? {
    do {
      _ = try manifest.planned(name: name, container: container)
      return nil
    } catch {
      return "\(error)"
    }
  }

  private func numbers(_ plan: PlannedWorkload) -> [String] {
    plan.numbers.map { "\($0.name) \($0.value) (\($0.source.text))" }
  }

  @Test("each number is from the manifest, with its line, or from the command line, which wins")
  func sources() throws {
    let shop = ShopManifest()
    func line(_ part: String) throws -> Int { try #require(shop.line(of: part)) }
    #expect(
      numbers(try shop.planned()) == [
        "replicas 3 (line 6)", "max-surge 1 (line 9)", "max-unavailable 0 (line 10)",
        "min-connections 2 (line \(try line("MIN_CONNECTIONS")))",
        "max-connections 3 (line \(try line("args")))",
        "drain 20s (preStop, line \(try line("/warmgate, drain")))", "app-connections 0 (default)",
        "terminationGracePeriodSeconds 45 (line 15)", "ready-after 10s (default)", "app-stop 0s (default)",
      ])
    let other = try shop.planned(
      replicas: 40, appConnections: 5, "--max-connections", "8", "--min-connections=1", "--drain-timeout",
      "9s")
    #expect(
      numbers(other).filter { $0.hasSuffix("(flag)") } == [
        "replicas 40 (flag)", "min-connections 1 (flag)", "max-connections 8 (flag)", "drain 9s (flag)",
        "app-connections 5 (flag)",
      ])
    #expect(other.fleet.maxConnections == 8 && other.fleet.replicas == 40)
    // The application may keep its sessions until it is killed.
    #expect(other.fleet.drains == .seconds(45))
  }

  @Test("a HorizontalPodAutoscaler of the workload says how many pods there may be")
  func autoscaler() throws {
    let autoscaler = """
      ---
      apiVersion: autoscaling/v2
      kind: HorizontalPodAutoscaler
      metadata: {name: any}
      spec:
        scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: shop}
        maxReplicas: 12

      """
    let manifest = ShopManifest(ShopManifest.shop + autoscaler)
    let line = try #require(manifest.line(of: "maxReplicas"))
    let plan = try manifest.planned()
    #expect(plan.fleet.replicas == 12)
    #expect(numbers(plan)[0] == "replicas 12 (maxReplicas of its HorizontalPodAutoscaler, line \(line))")
    #expect(
      try manifest.replacing("Deployment, name: shop", "Deployment, name: cart").planned().fleet.replicas == 3
    )
  }

  @Test("strategies are those of Kubernetes, with its defaults")
  func strategies() throws {
    let strategy = "  strategy:\n    rollingUpdate:\n      maxSurge: 1\n      maxUnavailable: 0\n"
    let shop = ShopManifest()
    var fleet = try shop.replacing(strategy, "").replacing("replicas: 3", "replicas: 10").planned().fleet
    #expect(fleet.surge == 3 && fleet.unavailable == 2)
    fleet = try shop.replacing("replicas: 3", "replicas: 10").replacing("maxSurge: 1", "maxSurge: 31%")
      .planned().fleet
    #expect(fleet.surge == 4 && fleet.unavailable == 0)
    fleet = try shop.replacing(strategy, "  strategy: {type: Recreate}\n").planned().fleet
    #expect(fleet.replacement == .afterwards && fleet.surge == 0)
    let set = shop.replacing("kind: Deployment", "kind: StatefulSet").replacing(strategy, "")
    let plan = try set.planned()
    #expect(plan.fleet.replacement == .afterwards && plan.fleet.unavailable == 1)
    #expect(RolloutPlan(fleet: plan.fleet).peak == 9)
    let daemons = shop.replacing("kind: Deployment", "kind: DaemonSet").replacing(strategy, "")
      .replacing("  replicas: 3\n", "")
    #expect(
      refusal(daemons)
        == "shop.yaml: daemonset/shop has a pod on every node: say how many with --replicas NUMBER")
    fleet = try daemons.planned(replicas: 5).fleet
    #expect(fleet.surge == 0 && fleet.unavailable == 1 && fleet.replacement == .afterwards)
    fleet = try daemons.replacing(
      "  template:", "  updateStrategy: {rollingUpdate: {maxSurge: 50%, maxUnavailable: 0}}\n  template:"
    ).planned(replicas: 5).fleet
    #expect(fleet.surge == 3 && fleet.replacement == .rolling)
    let job = shop.replacing("kind: Deployment", "kind: Job").replacing(strategy, "")
      .replacing("replicas: 3", "parallelism: 4")
    #expect(RolloutPlan(fleet: try job.planned().fleet).phases.map(\.name) == ["steady"])
    #expect(
      try job.replacing("parallelism: 4", "parallelism: 4\n  completions: 2").planned().fleet.replicas == 2)
    // Pods count as available that much later.
    #expect(
      try shop.replacing("replicas: 3", "replicas: 3\n  minReadySeconds: 20").planned().fleet.readyAfter
        == .seconds(30))
  }

  @Test("a deleted pod keeps its sessions until it is drained, or until the application has ended")
  func drains() throws {
    let shop = ShopManifest()
    #expect(try shop.planned().fleet.drains == .seconds(20))
    #expect(try shop.replacing("drain]", "drain, --timeout, 7s]").planned().fleet.drains == .seconds(7))
    let hook = "\n          lifecycle: {preStop: {exec: {command: [/warmgate, drain]}}}"
    #expect(try shop.replacing(hook, "").planned().fleet.drains == .seconds(45))
    #expect(try shop.replacing("Seconds: 45", "Seconds: 15").planned().fleet.drains == .seconds(15))
  }

  @Test("several pools of a pod are counted together, or one of them alone")
  func pools() throws {
    let hook = "          lifecycle: {preStop: {exec: {command: [/warmgate, drain]}}}\n"
    let two = ShopManifest().replacing(
      hook,
      hook
        + "        - {name: reports, image: warmgate, restartPolicy: Always, args: [serve, \"--listen=:8096\"]}\n"
    )
    let plan = try two.planned()
    #expect(plan.sidecars.map(\.container.name) == ["warmgate", "reports"])
    #expect(plan.fleet.pools == 2 && plan.fleet.minConnections == 4 && plan.fleet.maxConnections == 13)
    #expect(numbers(plan).contains("reports: max-connections 10 (default)"))
    #expect(try two.planned(container: "reports").fleet.maxConnections == 10)
    // Each piece of advice is for each pool.
    let tight = RolloutPlan(fleet: plan.fleet, room: FleetRoom(maxConnections: 30, reserved: 0, others: 0))
    #expect(tight.advice.first == "--max-connections 2 for each pool")
  }

  @Test("variables are resolved as Kubernetes does, and what is not in the manifest is said")
  func variables() throws {
    let map = """
      ---
      apiVersion: v1
      kind: ConfigMap
      metadata: {name: pool}
      data: {MAX_CONNECTIONS: "7", floor: "3"}

      """
    let shop = ShopManifest(ShopManifest.shop + map).replacing("--max-connections=3, ", "")
    let from =
      "          envFrom: [{prefix: WARMGATE_, configMapRef: {name: pool}}]\n          env:\n"
    #expect(try shop.replacing("          env:\n", from).planned().fleet.maxConnections == 7)
    let key = shop.replacing("value: \"2\"", "valueFrom: {configMapKeyRef: {name: pool, key: floor}}")
    #expect(try key.planned().fleet.minConnections == 3)
    let reference = shop.replacing("--drain-timeout,", "--max-connections, \"$(MANY)\", --drain-timeout,")
    let many = reference.replacing(
      "          env:\n", "          env:\n            - {name: MANY, value: \"6\"}\n")
    #expect(try many.planned().fleet.maxConnections == 6)
    // Nobody defines it, so it stays as it is, and is no number.
    #expect(try reference.planned().findings.map(\.rule) == [.setting])
    let secret = shop.replacing("value: \"2\"", "valueFrom: {secretKeyRef: {name: pool, key: floor}}")
    let line = try #require(secret.line(of: "MIN_CONNECTIONS"))
    let plan = try secret.planned()
    #expect(
      plan.unread == [
        "warmgate: WARMGATE_MIN_CONNECTIONS on line \(line), which comes from the Secret \"pool\""
      ])
    #expect(plan.fleet.minConnections == 2 && plan.findings.isEmpty)
    let missing = try shop.replacing(
      "          env:\n", from.replacing("name: pool", with: "name: other")
    ).planned()
    #expect(missing.unread.count == 1 && missing.unread[0].contains("the ConfigMap \"other\""))
  }

  @Test("variables made of variables do not grow without end")
  func growth() throws {
    var more = ""
    for level in 1...60 {
      more +=
        "            - {name: V\(level), value: \"$(V\(level - 1))$(V\(level - 1))xxxxxxxxxxxxxxxx\"}\n"
    }
    let plan = try ShopManifest().replacing("          env:\n", "          env:\n" + more).planned()
    #expect(plan.findings.isEmpty)
  }

  @Test(
    "Warmgate is known by its command, or without one by its image",
    arguments: [
      ("", true), ("\n          command: [/warmgate]", true),
      ("\n          command: [/usr/local/bin/warmgate]", true),
      ("\n          command: [tini, --, /warmgate]", true), ("\n          command: [/bin/other]", false),
    ])
  func known(command: String, isKnown: Bool) throws {
    let image = "image: registry.example:5000/team/warmgate:1.0"
    #expect((refusal(ShopManifest().replacing(image, image + command)) == nil) == isKnown)
    let renamed = ShopManifest().replacing(image, "image: registry.example/gate@sha256:00" + command)
    #expect((refusal(renamed) == nil) == (isKnown && !command.isEmpty))
    // It can be said.
    #expect(refusal(renamed, container: "warmgate") == nil)
  }

  @Test("one workload is chosen, and one line says why not")
  func choice() throws {
    let shop = ShopManifest.shop
    let cart = shop.replacing("name: shop\nspec", with: "name: cart\nspec")
    let two = ShopManifest(shop + "---\n" + cart)
    #expect(
      refusal(two)
        == "shop.yaml: 2 workloads have a Warmgate: deployment/shop on line 1, deployment/cart on line 36; say which with --name KIND/NAME"
    )
    #expect(try two.planned(name: "cart").workload.meta.name == "cart")
    #expect(try two.planned(name: "Deployment/shop").workload.meta.name == "shop")
    #expect(
      refusal(two, name: "basket")
        == "shop.yaml: no workload is called \"basket\"; there is deployment/shop, deployment/cart")
    #expect(
      refusal(ShopManifest(shop + "---\n" + shop))?.hasSuffix("give a manifest with only one of them") == true
    )
    #expect(
      refusal(ShopManifest(ShopManifest.service))
        == "shop.yaml: there is no Deployment, StatefulSet, DaemonSet or Job in it")
    #expect(
      refusal(ShopManifest("kind: CronJob\nmetadata: {name: x}\n"))
        == "shop.yaml: there is no Deployment, StatefulSet, DaemonSet or Job in it, only CronJob")
    #expect(
      refusal(ShopManifest("kind: Kustomization\n"))
        == "shop.yaml: a kustomization, which has to be built: kubectl kustomize DIRECTORY | warmgate plan -f -"
    )
    #expect(
      refusal(ShopManifest(), container: "gate")
        == "shop.yaml: no container is called \"gate\" in deployment/shop")
    #expect(
      refusal(ShopManifest().replacing("/team/warmgate", "/team/gate"))
        == "shop.yaml: no container of deployment/shop is a Warmgate: none has the command \"warmgate serve\", or no command and an image called warmgate; --container NAME says which it is"
    )
  }

  @Test("a List, JSON and several documents are read alike")
  func forms() throws {
    let items = ShopManifest.shop.split(separator: "\n").map { "  " + $0 }.joined(separator: "\n")
    let list = "apiVersion: v1\nkind: List\nitems:\n-" + items.dropFirst() + "\n"
    #expect(try ShopManifest(list).planned().fleet.maxConnections == 3)
    let json =
      #"{"kind":"DeploymentList","items":[{"kind":"Deployment","metadata":{"name":"a"},"spec":{"template":{"spec":{"containers":[{"name":"w","image":"warmgate","args":["serve","--max-connections","4"]}]}}}}]}"#
    #expect(try ShopManifest(json).planned().fleet.maxConnections == 4)
  }

  @Test(
    "what Kubernetes would refuse is one line with its place",
    arguments: [
      (
        "replicas: 3", "replicas: ten",
        "spec.replicas: \"ten\" is there: give a whole number from 0 to 100000, without quotes"
      ),
      (
        "replicas: 3", "replicas: \"3\"",
        "spec.replicas: \"3\" is there: give a whole number from 0 to 100000, without quotes"
      ),
      (
        "replicas: 3", "replicas: -1",
        "spec.replicas: \"-1\" is there: give a whole number from 0 to 100000, without quotes"
      ),
      (
        "replicas: 3", "replicas: 1e300",
        "spec.replicas: \"1e300\" is there: give a whole number from 0 to 100000, without quotes"
      ),
      (
        "replicas: 3", "replicas: [3]",
        "spec.replicas: a list is there: give a whole number from 0 to 100000, without quotes"
      ),
      (
        "Unavailable: 0", "Unavailable: 101%",
        "spec.strategy.rollingUpdate.maxUnavailable: \"101%\" is there: give a number of pods such as 1, or a share from 0% to 100%"
      ),
      (
        "maxSurge: 1", "maxSurge: \"1\"",
        "spec.strategy.rollingUpdate.maxSurge: \"1\" is there: give a number of pods such as 1, or a share from 0% to 100000%"
      ),
      (
        "maxSurge: 1", "maxSurge: -1",
        "spec.strategy.rollingUpdate.maxSurge: \"-1\" is there: give a number of pods such as 1, or a share such as 25%"
      ),
      (
        "value: \"2\"", "value: 2",
        "spec.template.spec.initContainers[0].env[0].value: a number is no text to Kubernetes: put it in quotes"
      ),
      (
        "drain]", "drain, yes]",
        "spec.template.spec.initContainers[0].lifecycle.preStop.exec.command[2]: true, yes and the like are no text to Kubernetes: put it in quotes"
      ),
      (
        "Seconds: 45", "Seconds: 45.5",
        "spec.template.spec.terminationGracePeriodSeconds: \"45.5\" is there: give a whole number from 0 to 2147483647, without quotes"
      ),
      (
        "containerPort: 8086", "containerPort: 65536",
        "spec.template.spec.initContainers[0].ports[0].containerPort: \"65536\" is there: give a whole number from 1 to 65535, without quotes"
      ),
    ])
  func refused(old: String, new: String, why: String) throws {
    let manifest = ShopManifest().replacing(old, new)
    let line = try #require(manifest.line(of: new))
    #expect(refusal(manifest) == "shop.yaml: line \(line): \(why)")
  }

  @Test(
    "what is no manifest is one line and exit code 2",
    arguments: [
      ("", "stdin: line 1: it holds nothing"), ("--- \n", "stdin: line 1: it holds nothing"),
      ("just words", "stdin: line 1: not a Kubernetes object: it has no kind"),
      ("[1, 2]", "stdin: line 1: not a Kubernetes object: it has no kind"),
      ("a: b: c", "stdin: line 1: not YAML: mapping values are not allowed in this context"),
      ("replicas: {{ .Values.replicas }}", "stdin: line 1: a key must be a word, not a list or a mapping"),
    ])
  func noManifest(text: String, why: String) async throws {
    let result = try await run([ServedProcess.executable, "plan", "-f", "-"], input: text)
    #expect(result.status == .exited(2))
    #expect(result.output == "" && result.errors == "warmgate: \(why)\n")
  }

  @Test("a file that is none is one line and exit code 2")
  func noFile() async throws {
    for (path, why) in [
      ("/nonexistent", "cannot be opened: No such file or directory"),
      (
        "/tmp", "cannot be read: Is a directory; give a file, or: kubectl kustomize /tmp | warmgate plan -f -"
      ),
      ("/dev/zero", "is longer than 16777216 bytes"),
    ] {
      let result = try await warmgate("plan", "--filename", path)
      #expect(result.status == .exited(2))
      #expect(result.errors == "warmgate: \(path): \(why)\n")
    }
    let binary = try await warmgate("plan", "-f=/usr/bin/env")
    #expect(binary.status == .exited(2))
    #expect(binary.errors.hasSuffix(": line 1: not YAML: control characters are not allowed\n"))
    for words in [["--name", "shop"], ["--lb-fall", "3"], ["-f", "a", "-f", "b"]] {
      let result = try await run([ServedProcess.executable, "plan", "--replicas", "2"] + words)
      #expect(result.status == .exited(2), "\(words)")
      #expect(result.errors.split(separator: "\n").count == 1)
    }
  }

  @Test("exit codes and texts: it fits and nothing is wrong, it does not fit, the manifest has an error")
  func exits() async throws {
    func plan(_ manifest: ShopManifest, _ words: String...) async throws -> CommandResult {
      try await run([ServedProcess.executable, "plan", "-f", "-"] + words, input: manifest.text)
    }
    let fits = try await plan(ShopManifest(), "--server-connections", "100")
    #expect(fits.status == .exited(0))
    #expect(
      fits.output == """
        manifest  deployment/shop on line 1, with warmgate on line 17
                  replicas 3 (line 6)
                  max-surge 1 (line 9)
                  max-unavailable 0 (line 10)
                  min-connections 2 (line 22)
                  max-connections 3 (line 20)
                  drain 20s (preStop, line 28)
                  app-connections 0 (default)
                  terminationGracePeriodSeconds 45 (line 15)
                  ready-after 10s (default)
                  app-stop 0s (default)
        server    max_connections 100, 3 reserved: 97 for this fleet
        pod       2 to 3 sessions; drains for up to 20s, the next is ready after 10s
        steady    3 pods: 6 to 9 sessions, 88 left
        rollout   4 pods, and 2 that drain: 8 to 18 sessions, 79 left
        it fits
        nothing is wrong in the manifest

        """)
    #expect(try await plan(ShopManifest(), "--server-connections", "20").status == .exited(1))
    let wrong = try await plan(
      ShopManifest().replacing("path: /live", "path: /ready"), "--server-connections", "100", "--json")
    #expect(wrong.status == .exited(1))
    let answer = try #require(
      try JSONSerialization.jsonObject(with: Data(wrong.output.utf8)) as? [String: Any])
    #expect(answer["fits"] as? Bool == true)
    let finding = try #require((answer["findings"] as? [[String: Any]])?.first)
    #expect(finding["severity"] as? String == "error" && finding["line"] as? Int == 27)
    #expect(
      finding["rule"] as? String == "liveness-question" && finding["container"] as? String == "warmgate")
    let number = try #require((answer["numbers"] as? [[String: Any]])?.first)
    #expect(number["name"] as? String == "replicas" && number["line"] as? Int == 6)
    // Advice alone does not stop a pipeline, and without a server only the manifest is looked at.
    let advice = try await plan(ShopManifest().replacing("seconds: 10", "seconds: 1"), "--json")
    #expect(advice.status == .exited(0))
    #expect(advice.output.hasPrefix("{\"fits\":null,\"capacity\":null,\"peak\":18,"))
    // One that is named and does not answer is a failure, and the manifest is looked at all the same.
    let silent = try await plan(
      ShopManifest(), "--database-url", "postgresql://shop@127.0.0.1:\(freePort())/shop")
    #expect(silent.status == .exited(1))
    #expect(silent.errors.hasPrefix("warmgate: the server's limits cannot be read (tcp: connection refused"))
    #expect(silent.output.contains("server    could not be asked\n"))
    #expect(silent.output.hasSuffix("nothing is wrong in the manifest\n"))
  }

  @Test("the settings of the caller's own environment are not those of the manifest")
  func environment() async throws {
    let file = try TemporaryDirectory()
    let path = file.path + "/shop.yaml"
    try ShopManifest.shop.write(toFile: path, atomically: true, encoding: .utf8)
    let result = try await warmgate("plan", "-f", path, environment: ["WARMGATE_MAX_CONNECTIONS": "50"])
    #expect(result.status == .exited(0))
    #expect(result.output.contains("max-connections 3 (line 20)"))
  }

  @Test("a manifest that comes slowly through a pipe is waited for")
  func pipe() async throws {
    let line =
      "(echo 'kind: Deployment'; sleep 0.3; echo 'spec: {template: {spec: {containers: [{name: w, image: warmgate}]}}}') | "
      + "'\(ServedProcess.executable)' plan -f /dev/stdin"
    let result = try await run(["bash", "-c", line])
    #expect(result.status == .exited(0), "\(result.errors)")
  }
}
