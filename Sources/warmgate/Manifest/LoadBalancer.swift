import PoolCore
import YAML

/// A load balancer that asks the pods itself, and how long it goes on sending to one that says no.
struct LoadBalancer {
  var interval: Duration
  /// Answers in a row that take a pod out.
  var fall: Int
  /// Who says so: `--lb-interval`, or an annotation.
  var source: String
  /// Of the manifest; nil if it was said on the command line.
  var line: Int?
  /// Somebody has chosen the numbers and relies on them.
  var isGiven = true

  /// From a pod's first "no" until nothing is sent to it any more.
  var notices: Duration { interval * fall }
}

/// As far as it tells whose pods it sends to, and how they are asked.
struct Service {
  var meta: Metadata
  var selector: [String: String] = [:]
  var annotations: [String: Placed<String>]

  init(_ meta: Metadata, _ object: Field) throws(YAMLError) {
    self.meta = meta
    annotations = try object.annotations
    if let spec = try object.member("spec") {
      for (key, value) in try spec.members("selector") { selector[key] = try value.text.value }
    }
  }

  func selects(_ workload: Workload) -> Bool {
    !selector.isEmpty && meta.namespace == workload.meta.namespace
      && selector.allSatisfy { workload.pod.labels[$0.key] == $0.value }
  }
}

struct Ingress {
  var meta: Metadata
  var annotations: [String: Placed<String>]
  var className: Placed<String>?
  var services: Set<String> = []

  init(_ meta: Metadata, _ object: Field) throws(YAMLError) {
    self.meta = meta
    annotations = try object.annotations
    guard let spec = try object.member("spec") else { return }
    className = try spec.text("ingressClassName") ?? annotations["kubernetes.io/ingress.class"]
    var backends = [try spec.member("defaultBackend")]
    for rule in try spec.list("rules") {
      for path in try rule.member("http")?.list("paths") ?? [] { backends.append(try path.member("backend")) }
    }
    for backend in backends {
      if let name = try backend?.member("service")?.text("name") { services.insert(name.value) }
    }
  }
}

/// Google's, which a Service names in an annotation.
struct BackendConfig {
  var meta: Metadata
  var interval: Placed<Int>?
  var fall: Int?

  init(_ meta: Metadata, _ object: Field) throws(YAMLError) {
    self.meta = meta
    let check = try object.member(at: "spec", "healthCheck")
    interval = try check?.int("checkIntervalSec", 1...3600)
    fall = try check?.int("unhealthyThreshold", 1...1000)?.value
  }
}

extension Field {
  fileprivate var annotations: [String: Placed<String>] {
    get throws(YAMLError) {
      var all: [String: Placed<String>] = [:]
      guard let metadata = try member("metadata") else { return all }
      for (key, value) in try metadata.members("annotations") { all[key] = try value.text }
      return all
    }
  }
}

extension Manifest {
  /// Those that ask the pods of `workload`, where the manifest says how often: AWS by annotations of its load balancer
  /// controller, whose defaults count where only the class is given, and Google by a BackendConfig.
  func loadBalancers(of workload: Workload) throws(YAMLError) -> [LoadBalancer] {
    let services = services.filter { $0.selects(workload) }
    var all: [LoadBalancer] = []
    for service in services {
      let prefix = "service.beta.kubernetes.io/aws-load-balancer-healthcheck-"
      all += try Self.annotated(
        service.annotations, interval: prefix + "interval", fall: prefix + "unhealthy-threshold",
        standard: (10, 3))
      all += googles(service)
    }
    let names = Set(services.map(\.meta.name))
    for ingress in ingresses
    where ingress.meta.namespace == workload.meta.namespace && !ingress.services.isDisjoint(with: names) {
      let prefix = "alb.ingress.kubernetes.io/"
      let annotated = try Self.annotated(
        ingress.annotations, interval: prefix + "healthcheck-interval-seconds",
        fall: prefix + "unhealthy-threshold-count", standard: (15, 2))
      all += annotated
      if annotated.isEmpty, let name = ingress.className, name.value == "alb" {
        all.append(
          LoadBalancer(
            interval: .seconds(15), fall: 2, source: "the defaults of the class alb", line: name.line,
            isGiven: false))
      }
    }
    return all
  }

  private static func annotated(
    _ annotations: [String: Placed<String>], interval: String, fall: String,
    standard: (interval: Int, fall: Int)
  ) throws(YAMLError) -> [LoadBalancer] {
    guard let given = annotations[interval] ?? annotations[fall] else { return [] }
    func number(_ name: String) throws(YAMLError) -> Int? {
      guard let text = annotations[name] else { return nil }
      guard let number = try? ValueKind<Int>.count.read(text.value), (1...3600).contains(number) else {
        throw YAMLError(
          line: text.line, why: "\(name): \(text.value.quoted) is there: give a whole number from 1 to 3600")
      }
      return number
    }
    return [
      LoadBalancer(
        interval: .seconds(try number(interval) ?? standard.interval),
        fall: try number(fall) ?? standard.fall, source: "the annotations", line: given.line)
    ]
  }

  private func googles(_ service: Service) -> [LoadBalancer] {
    guard let annotation = service.annotations["cloud.google.com/backend-config"] else { return [] }
    return backendConfigs.compactMap { config in
      guard let interval = config.interval, annotation.value.contains("\"\(config.meta.name)\"") else {
        return nil
      }
      return LoadBalancer(
        interval: .seconds(interval.value), fall: config.fall ?? 2, source: "the BackendConfig",
        line: interval.line)
    }
  }
}
