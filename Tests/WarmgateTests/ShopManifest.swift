import Testing

@testable import warmgate

/// A Deployment with nothing wrong in it, and the same with pieces replaced.
struct ShopManifest {
  private(set) var text: String

  init(_ text: String = ShopManifest.shop) { self.text = text }

  /// With the only occurrence of `old` replaced. A test that replaces nothing would test nothing.
  func replacing(_ old: String, _ new: String) -> ShopManifest {
    let parts = text.split(separator: old, omittingEmptySubsequences: false)
    if parts.count != 2 { Issue.record("there \(parts.count - 1) times: \(old)") }
    return ShopManifest(text.replacing(old, with: new))
  }

  /// From 1, of the first line that holds `part`.
  func line(of part: String) -> Int? {
    text.split(separator: "\n", omittingEmptySubsequences: false).firstIndex { $0.contains(part) }.map {
      $0 + 1
    }
  }

  func planned(
    name: String? = nil, container: String? = nil, replicas: Int? = nil, balancer: LoadBalancer? = nil,
    appConnections: Int? = nil, appStop: Duration? = nil, readyAfter: Duration? = nil, _ words: String...
  ) throws -> PlannedWorkload {
    try PlannedWorkload(
      ManifestFile(Array(text.utf8), called: "shop.yaml"), name: name, container: container,
      PlannedWorkload.Flags(
        replicas: replicas, appConnections: appConnections, readyAfter: readyAfter, appStop: appStop,
        balancer: balancer, arguments: try Arguments(words, accepting: Command.plan.forms, command: "plan")))
  }

  static let shop = """
    apiVersion: apps/v1
    kind: Deployment
    metadata:
      name: shop
    spec:
      replicas: 3
      strategy:
        rollingUpdate:
          maxSurge: 1
          maxUnavailable: 0
      template:
        metadata:
          labels: {app: shop}
        spec:
          terminationGracePeriodSeconds: 45
          initContainers:
            - name: warmgate
              image: registry.example:5000/team/warmgate:1.0
              restartPolicy: Always
              args: [serve, --max-connections=3, --drain-timeout, 20s]
              env:
                - {name: WARMGATE_MIN_CONNECTIONS, value: "2"}
                - {name: DATABASE_URL, valueFrom: {secretKeyRef: {name: shop, key: url}}}
              ports: [{name: health, containerPort: 8086}]
              startupProbe: {httpGet: {path: /startup, port: health}, periodSeconds: 1, failureThreshold: 7200}
              readinessProbe: {httpGet: {path: /ready, port: health}, periodSeconds: 2, failureThreshold: 1}
              livenessProbe: {httpGet: {path: /live, port: health}, periodSeconds: 5}
              lifecycle: {preStop: {exec: {command: [/warmgate, drain]}}}
          containers:
            - name: app
              image: shop
              ports: [{name: http, containerPort: 8080}]
              readinessProbe: {httpGet: {path: /healthz, port: http}}
              lifecycle: {preStop: {sleep: {seconds: 10}}}

    """

  /// As the only object before it asks for it.
  static let service = """
    ---
    apiVersion: v1
    kind: Service
    metadata:
      name: shop
      annotations: {example.com/kind: none}
    spec:
      selector: {app: shop}

    """
}
