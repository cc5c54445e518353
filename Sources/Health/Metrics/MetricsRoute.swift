import PoolCore
import Synchronization

/// `/metrics`: reads what others have left, like every answer of the health listener.
///
/// A page is made at most ten times a second, whoever asks how often: anybody can reach this listener, and a page costs
/// more than a verdict.
final class MetricsRoute: Sendable {
  static let madeAtMostEvery: Duration = .milliseconds(100)

  private let version: String
  private let requests: RequestCounts
  private let started = ProcessMetrics.startTime()
  private let pages = Mutex<[MediaType: (made: Instant, response: Response)]>([:])

  init(version: String, requests: RequestCounts) {
    self.version = version
    self.requests = requests
  }

  func respond(to request: Request, _ observe: () -> Observation) -> Response {
    let mediaType =
      MediaType.preferred(accept: request.header("Accept") ?? "", among: [.prometheus, .openMetrics])
      ?? .prometheus
    let now = monotonicNow()
    return pages.withLock { pages in
      if let page = pages[mediaType], now - page.made < Self.madeAtMostEvery { return page.response }
      let scrape = Scrape(
        observe(), requests: requests.all, process: ProcessMetrics(started: started), version: version)
      let text = MetricsText(scrape, as: mediaType == .openMetrics ? .openMetrics : .prometheus).text
      let response = Response(.ok, mediaType, body: text)
      pages[mediaType] = (now, response)
      return response
    }
  }
}
