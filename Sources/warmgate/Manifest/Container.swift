import YAML

/// A container of a pod, as far as rollouts and probes depend on it.
struct Container {
  enum Role {
    case main
    /// An init container that has to end before the next begins.
    case initial
    /// An init container with `restartPolicy: Always`: it runs beside the main ones (Kubernetes 1.29).
    case nativeSidecar
  }

  var name: String
  var line: Int
  var role: Role
  var image: String
  var command: [Placed<String>]
  var arguments: [Placed<String>]
  var env: [Variable]
  var envFrom: [VariableSource]
  var ports: [Port]
  var startupProbe: ContainerProbe?
  var readinessProbe: ContainerProbe?
  var livenessProbe: ContainerProbe?
  var preStop: Hook?

  struct Port {
    var name: String?
    var number: Int
  }

  /// One of `env`.
  struct Variable {
    enum Value {
      case text(String)
      case configMap(name: String, key: String)
      /// A Secret, or a field of the pod: not in a manifest.
      case elsewhere(String)
    }

    var name: String
    var line: Int
    var value: Value
  }

  /// One of `envFrom`.
  struct VariableSource {
    var prefix: String
    /// Nil: a Secret.
    var configMap: String?
    var line: Int
  }

  init(_ field: Field, isInitial: Bool) throws(YAMLError) {
    line = field.line
    name = try field.needed("name").text.value
    image = try field.text("image")?.value ?? ""
    let isKept = try field.text("restartPolicy")?.value == "Always"
    role = isInitial ? (isKept ? .nativeSidecar : .initial) : .main
    command = try Self.words(field, "command")
    arguments = try Self.words(field, "args")
    env = []
    for variable in try field.list("env") { env.append(try Variable(variable)) }
    envFrom = []
    for source in try field.list("envFrom") { envFrom.append(try VariableSource(source)) }
    ports = []
    for port in try field.list("ports") {
      let number = try port.needed("containerPort").int(in: 1...65535)
      ports.append(Port(name: try port.text("name")?.value, number: number))
    }
    startupProbe = try field.member("startupProbe").map(ContainerProbe.init)
    readinessProbe = try field.member("readinessProbe").map(ContainerProbe.init)
    livenessProbe = try field.member("livenessProbe").map(ContainerProbe.init)
    preStop = try field.member(at: "lifecycle", "preStop").map(Hook.init)
  }

  static func words(_ field: Field, _ key: String) throws(YAMLError) -> [Placed<String>] {
    var words: [Placed<String>] = []
    for word in try field.list(key) { words.append(try word.text) }
    return words
  }

  /// All three, with their names.
  var probes: [(name: String, probe: ContainerProbe)] {
    [("startupProbe", startupProbe), ("readinessProbe", readinessProbe), ("livenessProbe", livenessProbe)]
      .compactMap { name, probe in probe.map { (name, $0) } }
  }

  /// The port that a probe means; nil if a name is not declared.
  func number(of port: PortReference) -> Int? {
    switch port {
    case .number(let number): number
    case .name(let name): ports.first { $0.name == name }?.number
    }
  }
}

extension Container.Variable {
  init(_ field: Field) throws(YAMLError) {
    line = field.line
    name = try field.needed("name").text.value
    if let from = try field.member("valueFrom") {
      if let reference = try from.member("configMapKeyRef") {
        value = .configMap(
          name: try reference.text("name")?.value ?? "", key: try reference.needed("key").text.value)
      } else if let reference = try from.member("secretKeyRef") {
        value = .elsewhere("the Secret \((try reference.text("name")?.value ?? "").quoted)")
      } else {
        value = .elsewhere("the running pod")
      }
    } else {
      value = .text(try field.text("value")?.value ?? "")
    }
  }
}

extension Container.VariableSource {
  init(_ field: Field) throws(YAMLError) {
    line = field.line
    prefix = try field.text("prefix")?.value ?? ""
    configMap = try field.member(at: "configMapRef")?.text("name")?.value
  }
}

/// A probe that the kubelet makes.
struct ContainerProbe {
  enum Action {
    case http(path: String, Placed<PortReference>)
    case tcp(Placed<PortReference>)
    case grpc(service: String, Placed<PortReference>)
    case exec([Placed<String>])
    case none
  }

  var line: Int
  var action: Action
  // In seconds; nil for the default, which is Kubernetes' own.
  var initialDelay: Placed<Int>?
  var period: Placed<Int>?
  var timeout: Placed<Int>?
  var failureThreshold: Placed<Int>?

  /// In seconds, as those below.
  var periodInForce: Int { period?.value ?? 10 }
  var timeoutInForce: Int { timeout?.value ?? 1 }
  var failuresInForce: Int { failureThreshold?.value ?? 3 }
  /// Until it gives up.
  var budget: Int { (initialDelay?.value ?? 0) + failuresInForce * periodInForce }

  init(_ field: Field) throws(YAMLError) {
    line = field.line
    // Kubernetes takes its default where 0 is written.
    initialDelay = try field.int("initialDelaySeconds")
    period = try field.int("periodSeconds").flatMap { $0.value == 0 ? nil : $0 }
    timeout = try field.int("timeoutSeconds").flatMap { $0.value == 0 ? nil : $0 }
    failureThreshold = try field.int("failureThreshold").flatMap { $0.value == 0 ? nil : $0 }
    if let http = try field.member("httpGet") {
      guard let port = try http.port("port") else { throw http.error("has no port") }
      action = .http(path: try http.text("path")?.value ?? "/", port)
    } else if let tcp = try field.member("tcpSocket") {
      guard let port = try tcp.port("port") else { throw tcp.error("has no port") }
      action = .tcp(port)
    } else if let grpc = try field.member("grpc") {
      let port = try grpc.needed("port")
      action = .grpc(
        service: try grpc.text("service")?.value ?? "",
        Placed(.number(try port.int(in: 1...65535)), port.line))
    } else if let exec = try field.member("exec") {
      action = .exec(try Container.words(exec, "command"))
    } else {
      action = .none
    }
  }

  var port: Placed<PortReference>? {
    switch action {
    case .http(_, let port), .tcp(let port), .grpc(_, let port): port
    case .exec, .none: nil
    }
  }
}

/// What the kubelet does before it sends SIGTERM.
struct Hook {
  enum Action {
    case exec([Placed<String>])
    case http(path: String)
    /// In seconds.
    case sleep(Int)
    case other
  }

  var line: Int
  var action: Action

  init(_ field: Field) throws(YAMLError) {
    line = field.line
    if let exec = try field.member("exec") {
      action = .exec(try Container.words(exec, "command"))
    } else if let http = try field.member("httpGet") {
      action = .http(path: try http.text("path")?.value ?? "/")
    } else if let sleep = try field.member("sleep") {
      action = .sleep(try sleep.needed("seconds").int(in: 0...Int(Int32.max)))
    } else {
      action = .other
    }
  }
}
