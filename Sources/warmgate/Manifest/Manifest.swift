import YAML

/// What `plan` reads of a stream of Kubernetes objects, as `kubectl kustomize` and `kubectl get -o yaml` print it.
/// Objects of other kinds are passed over, and so are fields that nothing here asks for.
struct Manifest {
  /// A guard: a cluster's every object is about as much.
  static let mostBytes = 16 << 20

  var workloads: [Workload] = []
  var autoscalers: [Autoscaler] = []
  var configMaps: [ObjectKey: ConfigMap] = [:]
  var services: [Service] = []
  var ingresses: [Ingress] = []
  var backendConfigs: [BackendConfig] = []
  /// Kinds that were passed over, each once, in order.
  var otherKinds: [String] = []

  /// Throws what Kubernetes would refuse too, as far as it is read here.
  init(_ bytes: [UInt8]) throws(YAMLError) {
    let documents = try Document.all(in: bytes)
    if documents.isEmpty { throw YAMLError(line: 1, why: "it holds nothing") }
    for document in documents {
      try read(Field(document, path: "", line: document.line))
    }
  }

  private mutating func read(_ object: Field) throws(YAMLError) {
    guard case .mapping = object.node.content, let kind = try object.text("kind")?.value else {
      throw YAMLError(line: object.line, why: "not a Kubernetes object: it has no kind")
    }
    if kind.hasSuffix("List"), object.node.member("items") != nil {
      for item in try object.list("items") { try read(Field(item.node, path: "", line: item.line)) }
      return
    }
    let meta = try Metadata(object)
    if let kind = Workload.Kind(rawValue: kind) {
      workloads.append(try Workload(kind, meta, object))
      return
    }
    switch kind {
    case "HorizontalPodAutoscaler": autoscalers.append(try Autoscaler(meta, object))
    case "ConfigMap": configMaps[meta.key] = try ConfigMap(meta, object)
    case "Service": services.append(try Service(meta, object))
    case "Ingress": ingresses.append(try Ingress(meta, object))
    case "BackendConfig": backendConfigs.append(try BackendConfig(meta, object))
    default:
      if otherKinds.count < 100, !otherKinds.contains(kind) { otherKinds.append(kind) }
    }
  }
}

struct Metadata: Hashable, Sendable {
  var name: String
  /// Nil: the one that `kubectl apply` is told.
  var namespace: String?
  /// Where the object begins.
  var line: Int

  var key: ObjectKey { ObjectKey(name, namespace) }

  init(_ object: Field) throws(YAMLError) {
    let metadata = try object.member("metadata")
    name = try metadata?.text("name")?.value ?? ""
    namespace = try metadata?.text("namespace")?.value
    line = object.line
  }
}

/// By which objects of a kind refer to each other.
struct ObjectKey: Hashable, Sendable {
  var name: String
  var namespace: String?

  init(_ name: String, _ namespace: String?) {
    self.name = name
    self.namespace = namespace
  }
}

struct ConfigMap {
  var meta: Metadata
  var data: [String: Placed<String>] = [:]

  init(_ meta: Metadata, _ object: Field) throws(YAMLError) {
    self.meta = meta
    for (key, value) in try object.members("data") { data[key] = try value.text }
  }
}

struct Autoscaler {
  var meta: Metadata
  var targetKind: String
  var targetName: String
  var maxReplicas: Placed<Int>

  init(_ meta: Metadata, _ object: Field) throws(YAMLError) {
    self.meta = meta
    let spec = try object.needed("spec")
    let target = try spec.needed("scaleTargetRef")
    targetKind = try target.needed("kind").text.value
    targetName = try target.needed("name").text.value
    guard let most = try spec.int("maxReplicas", 1...RolloutPlan.mostPods) else {
      throw spec.error("has no maxReplicas")
    }
    maxReplicas = most
  }
}
