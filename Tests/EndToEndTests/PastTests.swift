import Foundation
import Support
import Synchronization
import Testing

@Suite("no answer from the past")
struct PastTests {
  /// Longer than the probe's answer is believed at default settings: 5 s and three times 1 s.
  static let frozen: Duration = .seconds(15)

  enum Loss: CaseIterable {
    /// Its sockets tell the sidecar as soon as it goes on.
    case killed
    /// Nothing tells it: only that the last good probe is too old.
    case stopped
  }

  @Test(
    "frozen while the database is lost, and thawed: not one 200, to requests that waited either",
    arguments: Loss.allCases)
  func thawed(_ loss: Loss) async throws {
    try await withSidecarAndPostgres { sidecar, pg in
      try await sidecar.waitUntilReady()
      // Kept from before: the process knows these connections.
      var kept: [HTTPConnection] = []
      for _ in 0..<8 {
        let connection = try await sidecar.health.connect()
        #expect(try await connection.request("GET", "/ready").status == 200)
        kept.append(connection)
      }

      sidecar.process.suspend()
      switch loss {
      case .killed: await pg.kill()
      case .stopped: await pg.suspend()
      }
      // Made now: the kernel accepts them, and the process finds them when it goes on.
      var queued: [HTTPConnection] = []
      for path in ["/ready", "/", "/readyz", "/ready/probe", "/ready/pool", "/ready?exclude=probe"] {
        for _ in 0..<4 {
          let connection = try await sidecar.health.connect()
          try await connection.send(Array("GET \(path) HTTP/1.1\r\nHost: x\r\n\r\n".utf8))
          queued.append(connection)
        }
      }
      for connection in kept {
        try await connection.send(Array("GET /ready HTTP/1.1\r\nHost: x\r\n\r\n".utf8))
      }
      // The time itself is what is tried here: nothing happens in it.
      try await Task.sleep(for: Self.frozen)

      let hammer = Hammer(sidecar.health, threads: 4)
      sidecar.process.resume()
      let thawed = ContinuousClock.now
      for connection in kept + queued {
        let answer = try await connection.answer(within: .seconds(10))
        #expect(answer.status == 503, "\(answer.body)")
      }
      #expect(await eventually { ContinuousClock.now > thawed + .seconds(2) })
      let answers = await hammer.stop()
      #expect(answers.count > 20)
      #expect(answers.filter { !$0.hasPrefix("503 not ready: ") } == [])
      #expect(try await sidecar.live().status == 200)
      #expect(try await sidecar.startup().status == 200)

      switch loss {
      case .killed: try await pg.start()
      case .stopped: await pg.resume()
      }
      try await sidecar.waitUntilReady()
    }
  }

  @Test("frozen the moment it has answered: requests that waited past a client's time limit are answered")
  func frozenAtTheAnswer() async throws {
    // Where in its turn the listener is frozen is chance: about every second run meets the middle of one.
    try await withThrowingTaskGroup { group in
      for _ in 0..<4 {
        group.addTask {
          // On one processor: if it is the client's, the answer wakes it before the listener has ended its turn.
          try await withSidecar(wrapper: ["taskset", "1"]) { sidecar in
            let request = Array("GET /ready HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
            var kept: [HTTPConnection] = []
            for _ in 0..<8 {
              let connection = try await sidecar.health.connect()
              #expect(try await connection.request("GET", "/ready").status == 503)
              kept.append(connection)
            }
            // One more, and not a moment in between.
            try await blocking { [kept] in
              try kept[0].socket.send(request, deadline: .now + .seconds(5))
              #expect(kept[0].socket.receive(deadline: .now + .seconds(5)) != nil)
              sidecar.process.suspend()
            }
            // Told from the requests before by when they come, to a twentieth of a second.
            try await Task.sleep(for: .milliseconds(200))
            for connection in kept { try await connection.send(request) }
            // Longer than a request may take to come in: 5 s.
            try await Task.sleep(for: .seconds(6))
            sidecar.process.resume()
            for connection in kept {
              #expect(try await connection.answer(within: .seconds(10)).status == 503)
            }
          }
        }
      }
      try await group.waitForAll()
    }
  }

  #if DEBUG
    /// Only debug builds listen to SIGUSR2; it ends any other.
    static let canBlockLoop = ProcessInfo.processInfo.environment["WARMGATE_EXECUTABLE"] == nil

    @Test(
      "a loop that is stuck for 15 s: /ready says so after 2 s, /live after 10 s, and both recover",
      .enabled(if: canBlockLoop, "needs a debug build"))
    func stuckLoop() async throws {
      try await withSidecarAndPostgres(wrapper: PromptAnswers.wrapper) { sidecar, _ in
        try await sidecar.waitUntilReady()
        // HTTP does not wait for the loop.
        let answers = try PromptAnswers(of: sidecar, ["/ready", "/live", "/startup"])
        let (ready, live) = try (answers["/ready"], answers["/live"])
        let stuck = ContinuousClock.now
        sidecar.process.signal(SIGUSR2)

        let stalled = try #require(await ready.first(since: stuck) { $0.status != 200 })
        #expect(stalled.status == 503)
        #expect(stalled.line?.wholeMatch(of: /not ready: stalled 2\.\ds/) != nil, "\(stalled)")
        // The last beat was up to half a second before the signal.
        #expect((.milliseconds(1400)...(.milliseconds(3000))).contains(stalled.answered.since(stuck)))
        let dead = try #require(await live.first(since: stuck, within: .seconds(15)) { $0.status != 200 })
        #expect(dead.status == 503)
        #expect(dead.line?.wholeMatch(of: /not alive: stalled 10\.\ds/) != nil, "\(dead)")
        #expect((.milliseconds(9400)...(.milliseconds(11000))).contains(dead.answered.since(stuck)))
        #expect(try await sidecar.ready("?exclude=heartbeat").status == 503)

        let alive = try #require(await live.first(since: dead.answered) { $0.status == 200 })
        #expect(alive.answered.since(stuck) >= .seconds(15))
        try await sidecar.waitUntilReady(within: .seconds(5))

        await answers.expect()
        #expect(ready.observations.statuses == [200, 503, 200])
        #expect(live.observations.statuses == [200, 503, 200])
        #expect(try answers["/startup"].observations.statuses == [200])
      }
    }
  #endif
}

/// Asks `/ready` as fast as it can, from several threads, and keeps what was answered.
private final class Hammer: Sendable {
  private let state = Mutex<(answers: [String], stopping: Bool, running: Int)>(([], false, 0))

  init(_ probe: HTTPProbe, threads: Int) {
    state.withLock { $0.running = threads }
    for _ in 0..<threads {
      Thread.detachNewThread { [self] in
        while !state.withLock({ $0.stopping }) {
          let text: String
          do {
            let answer = try probe.requestBlocking("GET", "/ready", within: .seconds(30))
            text = "\(answer.status) \(answer.firstLine)"
          } catch {
            text = "\(error)"
          }
          state.withLock { $0.answers.append(text) }
        }
        state.withLock { $0.running -= 1 }
      }
    }
  }

  func stop() async -> [String] {
    state.withLock { $0.stopping = true }
    _ = await eventually { state.withLock { $0.running == 0 } }
    return state.withLock { $0.answers }
  }
}
