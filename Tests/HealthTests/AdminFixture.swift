import Foundation
import PoolCore
import Synchronization

@testable import Health

/// An admin listener whose pool is the test: what was asked for is recorded, and completions are called when and
/// where the test wants.
final class AdminFixture: Sendable {
  struct Seen: Sendable {
    var drains: [DrainRequest] = []
    var drainCompletions: [@Sendable (DrainAnswer) -> Void] = []
    var resumeCompletions: [@Sendable (ResumeAnswer) -> Void] = []
    var quits = 0
    var refused: [RefusedControl] = []
  }

  final class Record: Sendable {
    let seen = Mutex(Seen())
  }

  let server: AdminServer
  let record: Record
  let folder: URL

  /// `answers`: called at once with every drain, on the listener's own thread; nil leaves it waiting, unless the
  /// request only wants to know that it has begun.
  init(
    _ state: State = .ready, listen: String = "127.0.0.1:0", token: String? = nil, tokenFile: String? = nil,
    limits: ListenLimits = .admin(), answers: DrainAnswer? = nil, resumes: ResumeAnswer? = .resumed
  ) throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent(
      "wg-\(UUID().uuidString.prefix(8))")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    var file = tokenFile
    if let token {
      file = folder.path + "/token"
      try token.write(toFile: file!, atomically: true, encoding: .utf8)
    }
    let record = Record()
    self.record = record
    let control = AdminControl(
      drain: { request, completion in
        record.seen.withLock {
          $0.drains.append(request)
          $0.drainCompletions.append(completion)
        }
        if let answer = answers ?? (request.wait ? nil : .begun) { completion(answer) }
      },
      resume: { completion in
        record.seen.withLock { $0.resumeCompletions.append(completion) }
        if let resumes { completion(resumes) }
      },
      quit: { record.seen.withLock { $0.quits += 1 } })
    do {
      server = try AdminServer(
        listen: ListenAddress(parsing: listen.replacingOccurrences(of: "FOLDER", with: folder.path)),
        tokenFile: file,
        limits: limits, observe: { state.observation }, control: control,
        details: {
          AdminDetails(
            version: "1.2.3", instance: "warmgate/test",
            settings: [.init(name: "min-connections", value: "2", source: "default")])
        },
        log: { refused in record.seen.withLock { $0.refused.append(refused) } })
    } catch {
      // There is no deinit for what was never made.
      try? FileManager.default.removeItem(at: folder)
      throw error
    }
  }

  deinit {
    server.stop()
    // The completions hold the routes, whose control holds the record.
    record.seen.withLock { $0 = Seen() }
    try? FileManager.default.removeItem(at: folder)
  }

  var seen: Seen { record.seen.withLock { $0 } }

  func client() throws -> RawClient { try RawClient(server.address) }

  func write(token: String) throws {
    try token.write(toFile: folder.path + "/token", atomically: true, encoding: .utf8)
  }

  /// Waits until so many drains have been asked for.
  func awaitDrains(_ count: Int) throws {
    try poll("\(count) drains") { self.seen.drains.count >= count }
  }

  static let counts: DrainProgress = State.drained.observation.snapshot.drain!
}

struct NeverHappened: Error { var what: String }

/// Looks every millisecond until it is so, for ten seconds.
func poll(_ what: String, _ isSo: () throws -> Bool) throws {
  let end = monotonicNow() + .seconds(10)
  while try !isSo() {
    if monotonicNow() > end { throw NeverHappened(what: what) }
    usleep(1000)
  }
}
