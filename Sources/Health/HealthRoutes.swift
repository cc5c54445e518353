import PoolCore

/// The paths of the health listener. Other dialects (gRPC, the HAProxy agent) have listeners of their own, and read
/// the same observation.
struct HealthRoutes: RequestHandler {
  let probeInterval: Duration
  let metrics: MetricsRoute
  let probers: Probers?
  let observe: @Sendable () -> Observation

  init(
    probeInterval: Duration, metrics: MetricsRoute, probers: Probers? = nil,
    observe: @escaping @Sendable () -> Observation
  ) {
    self.probeInterval = probeInterval
    self.metrics = metrics
    self.probers = probers
    self.observe = observe
  }

  static let methods = "GET, HEAD, OPTIONS"

  func reply(to request: Request) -> Reply { .now(respond(to: request)) }

  func respond(to request: Request) -> Response {
    let question = Self.question(for: request.path)
    guard question != nil || request.path == Self.metricsPath else {
      return .line(.notFound, "no such path; there are /live, /ready, /startup and /metrics")
    }
    switch request.method {
    case .get, .head, .options: break
    case .post, .other:
      return .line(
        .methodNotAllowed, "use GET, HEAD or OPTIONS", headers: [Request.Field("Allow", Self.methods)])
    }
    var response =
      if let question { respond(to: question, request) } else { metrics.respond(to: request, observe) }
    if request.method == .options { response.headers.append(Request.Field("Allow", Self.methods)) }
    return response
  }

  private static let metricsPath = "/metrics"

  private func respond(to question: Question, _ request: Request) -> Response {
    let answer = Answer(
      question, observe(), exclusions: Exclusions(request.query),
      isVerbose: request.parameter("verbose") != nil)
    if question == .ready {
      let agent = request.header("User-Agent")
      probers?.asked(by: request.peer, .http, userAgent: agent, answer.observation)
    }
    var response = answer.response(as: MediaType(for: request))
    response.headers += headers(for: answer)
    return response
  }

  func counted(_ request: Request) -> RequestCounts.Path {
    switch Self.question(for: request.path) {
    case .ready?: .ready
    case .check(.heartbeat)?: .readyHeartbeat
    case .check(.drain)?: .readyDrain
    case .check(.pool)?: .readyPool
    case .check(.probe)?: .readyProbe
    case .live?: .live
    case .startup?: .startup
    case nil: request.path == Self.metricsPath ? .metrics : .other
    }
  }

  static func question(for path: String) -> Question? {
    switch path {
    // What a load balancer asks when nobody configured a path; `*` is what OPTIONS may ask (RFC 9110, 9.3.7).
    case "/", "*", "/ready", "/readyz": return .ready
    case "/live", "/livez": return .live
    case "/startup", "/startupz": return .startup
    default:
      let name = path.removing(prefix: "/readyz/") ?? path.removing(prefix: "/ready/")
      return name.flatMap { Verdict.Check.Name(rawValue: String($0)) }.map(Question.check)
    }
  }

  private func headers(for answer: Answer) -> [Request.Field] {
    var headers: [Request.Field] = []
    if !answer.isYes { headers.append(Request.Field("Retry-After", String(retryAfter))) }
    guard answer.question.isAboutReadiness else { return headers }
    switch answer.observation.snapshot.phase {
    case .draining, .drained: headers.append(Request.Field("x-envoy-immediate-health-check-fail", "true"))
    default: break
    }
    if answer.isYes && answer.verdict.isDegraded { headers.append(Request.Field("x-envoy-degraded", "true")) }
    return headers
  }

  private var retryAfter: Int64 {
    let (whole, rest) = probeInterval.inNanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
    return max(1, rest > 0 ? whole + 1 : whole)
  }
}

/// What a path asks.
enum Question: Hashable, Sendable {
  case ready
  /// One check of readiness alone.
  case check(Verdict.Check.Name)
  case live
  case startup

  /// The name that Kubernetes' API server gives it; the last line of a verbose answer begins with it.
  var kubernetesName: String {
    switch self {
    case .ready, .check: "readyz"
    case .live: "livez"
    case .startup: "startupz"
    }
  }

  var isAboutReadiness: Bool {
    switch self {
    case .ready, .check: true
    case .live, .startup: false
    }
  }
}
