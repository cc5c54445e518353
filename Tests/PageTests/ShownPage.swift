import Foundation
import PoolCore
import Support
import Synchronization
import Testing

@testable import Health

/// The status page of an instance whose state the test chooses, over HTTP, as a browser sees it.
final class ShownPage: Sendable {
  /// A struct, because a closure that is taken out of a `Mutex` by itself is wrapped once more every time.
  private struct Shown {
    var snapshot: @Sendable (Instant) -> Snapshot
  }

  private let shown: Mutex<Shown>
  private let server: Mutex<AdminServer?>
  let address: ListenAddress
  private let probers = Probers(mustSee: 3)

  init(_ snapshot: @escaping @Sendable (Instant) -> Snapshot) throws {
    shown = Mutex(Shown(snapshot: snapshot))
    server = Mutex(nil)
    address = try ListenAddress(parsing: "127.0.0.1:\(freePort())")
    try start()
  }

  deinit { stop() }

  var url: String { "http://\(address)/" }

  func show(_ snapshot: @escaping @Sendable (Instant) -> Snapshot) {
    shown.withLock { $0.snapshot = snapshot }
  }

  /// A load balancer has asked so often, and was answered as things stand.
  func isAsked(from address: IPAddress, times: Int) {
    for _ in 0..<times { probers.asked(by: address, .http, observation()) }
  }

  func start() throws {
    let server = try AdminServer(
      listen: address, tokenFile: nil, observe: { [unowned self] in observation() },
      control: AdminControl(drain: { _, _ in }, resume: { _ in }, quit: {}),
      details: {
        AdminDetails(
          version: "1.2.3", instance: "warmgate/shop-7d9c5bd5-x2x9k-3fa2c1",
          settings: [
            .init(
              name: "database-url", value: "postgresql://shop:*****@db.example/shop", source: "environment"),
            .init(name: "min-connections", value: "2", source: "default"),
          ])
      }, probers: probers, log: { _ in })
    self.server.withLock { $0 = server }
  }

  func stop() { server.withLock { $0.take() }?.stop() }

  private func observation() -> Observation {
    let now = monotonicNow()
    return Observation(snapshot: shown.withLock { $0.snapshot }(now), now: now)
  }
}

extension Chromium {
  /// Opens the page and returns when its script has shown an answer.
  func open(_ page: ShownPage) async throws {
    try await open(page.url)
    #expect(await becomes("!document.getElementById('live').hidden"))
  }

  func text(_ id: String) async throws -> String {
    try await evaluate("document.getElementById('\(id)').innerText").string ?? ""
  }

  var state: String {
    get async throws { try await evaluate("document.body.dataset.state").string ?? "" }
  }
}
