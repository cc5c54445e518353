import PoolCore
import Synchronization

/// The paths of the admin listener.
struct AdminRoutes: RequestHandler {
  let guardian: AdminGuard
  /// kubelet's `httpGet` hook can only GET. Where it cannot reach anyway, a GET that drains would be a trap.
  let allowsGetDrain: Bool
  let observe: @Sendable () -> Observation
  let control: AdminControl
  let details: @Sendable () -> AdminDetails
  let probers: Probers?
  let log: @Sendable (RefusedControl) -> Void
  let drainsRefused = Count()

  /// A completion on another thread may count too.
  final class Count: Sendable {
    let value = Atomic(0)
  }

  private enum Path: String {
    case home = "/"
    case status = "/status"
    case drain = "/drain"
    case resume = "/resume"
    case quit = "/quit"

    var changesSomething: Bool {
      switch self {
      case .home, .status: false
      case .drain, .resume, .quit: true
      }
    }
  }

  func reply(to request: Request) -> Reply {
    let path = Path(rawValue: request.path)
    if let refusal = guardian.refusal(of: request) { return .now(refuse(request, refusal)) }
    guard let path else { return .now(.line(.notFound, "no such path; GET / lists them")) }
    let allowed = methods(for: path)
    guard allowed.contains(request.method) else {
      let list = allowed.map(\.name).joined(separator: ", ")
      let response = Response.line(
        .methodNotAllowed, "use \(allowed[0].name)", headers: [Request.Field("Allow", list)])
      return .now(refuse(request, response))
    }
    switch path {
    case .home: return .now(home(as: MediaType(for: request, among: Self.homeForms)))
    case .status: return .now(status())
    case .drain: return drain(request)
    case .resume: return resume(request)
    case .quit: return .nowThen(.line(.accepted, "draining, then ending"), control.quit)
    }
  }

  func counted(_ request: Request) -> RequestCounts.Path {
    switch Path(rawValue: request.path) {
    case .home?: .adminHome
    case .status?: .status
    case .drain?: .drain
    case .resume?: .resume
    case .quit?: .quit
    case nil: .other
    }
  }

  private func methods(for path: Path) -> [Request.Method] {
    if !path.changesSomething { return [.get, .head] }
    return path == .drain && allowsGetDrain ? [.post, .get] : [.post]
  }

  /// Logs a refusal of something that would have changed the instance, and counts it if it is a drain.
  func refuse(_ request: Request, _ response: Response) -> Response {
    if let path = Path(rawValue: request.path), path.changesSomething {
      if path == .drain { drainsRefused.value.add(1, ordering: .relaxed) }
      log(
        RefusedControl(
          path: path.rawValue, method: request.method.name, status: response.status.rawValue,
          reason: response.body.split(separator: "\n").first.map(String.init) ?? ""))
    }
    return response
  }

  /// The page is for who asks for HTML by name, as browsers do. `curl` takes anything, and whoever sits before it is
  /// better served by a few lines.
  private static let homeForms: [MediaType] = [.text, .html, .json]

  private func home(as form: MediaType) -> Response {
    var response =
      switch form {
      case .html: StatusPage(observe(), details()).response
      case .json: status()
      default: Response(.ok, .text, body: StatusText(observe(), details()).text)
      }
    response.headers.append(Request.Field("Vary", "Accept"))
    return response
  }

  private func status() -> Response {
    let refused = drainsRefused.value.load(ordering: .relaxed)
    let body = StatusBody(observe(), details(), drainsRefused: refused, probers: probers)
    return Response(.ok, .json, body: body.json.text + "\n")
  }
}
