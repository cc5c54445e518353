import Support
import Testing

/// Asks several paths of a sidecar all the time, and says whether each answer came within 50 ms.
///
/// A machine that runs a whole test suite is late by itself now and then. So sidecar and observers run before other work
/// where the system allows it, and a server that does nothing is asked beside them: it shows what the machine takes.
struct PromptAnswers {
  /// The words before a sidecar whose answers are timed.
  static let wrapper = ["sh", "-c", "chrt --rr --pid 1 $$ 2>/dev/null; exec \"$@\"", "sh"]

  private let observers: [(path: String, observer: Observer)]
  private let idler: CannedServer
  private let control: Observer

  /// Begins at once.
  init(of sidecar: RunningSidecar, _ paths: [String]) throws {
    idler = try CannedServer(
      "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nready\n", atHighPriority: true)
    control = Observer(HTTPProbe(port: idler.port), atHighPriority: true)
    observers =
      paths.map { ($0, sidecar.observer($0, atHighPriority: true)) }
      + [("/status", Observer(sidecar.admin, "/status", atHighPriority: true))]
  }

  subscript(path: String) -> Observer {
    get throws { try #require(observers.first { $0.path == path }?.observer) }
  }

  /// Ends it. One in a hundred may be late by up to a quarter of a second; an answer that waited for the database
  /// would be late by one second at least.
  func expect(sourceLocation: SourceLocation = #_sourceLocation) async {
    let idle = await control.stop()
    for (path, observer) in observers {
      let seen = await observer.stop()
      #expect(seen.count > 100, "\(path)", sourceLocation: sourceLocation)
      #expect(
        seen.filter { $0.status == nil }.isEmpty, "\(path): no answer", sourceLocation: sourceLocation)
      #expect(
        seen.elapsed(0.99) < .milliseconds(50) + idle.elapsed(0.99) * 2,
        "\(path): \(Self.describe(seen)); a server that does nothing: \(Self.describe(idle))",
        sourceLocation: sourceLocation)
      #expect(
        seen.elapsed(1) < .milliseconds(250) + idle.elapsed(1) * 2,
        "\(path): \(Self.describe(seen)); a server that does nothing: \(Self.describe(idle))",
        sourceLocation: sourceLocation)
    }
  }

  private static func describe(_ seen: [Observer.Observation]) -> String {
    "\(seen.count), p50 \(seen.elapsed(0.5)), p99 \(seen.elapsed(0.99)), slowest \(seen.elapsed(1))"
  }
}
