import Foundation
import Support
import Testing

/// One after the other: they measure.
@Suite(
  "HTTP under abuse, on the running sidecar", .serialized, .timeLimit(.minutes(10)),
  .enabled(if: AbuseClients.canOpenThousands, "needs a limit of 8,192 open files"))
struct AbuseTests {
  private static let isLong = ProcessInfo.processInfo.environment["WARMGATE_TEST_LONG"] == "1"

  @Test("while 2,000 idle connections are held, a probe each 100 ms is answered with p99 below 100 ms")
  func idle() async throws {
    let hold: Duration = Self.isLong ? .seconds(60) : .seconds(10)
    try await withPostgres { pg in
      // What other processes of a busy machine take from it is not what is measured: it comes before them. Where that
      // is not permitted, a second sidecar without a crowd tells the machine's part.
      let first = try await run(["chrt", "--fifo", "1", "true"]).succeeded ? ["chrt", "--fifo", "1"] : []
      let sidecar = try await RunningSidecar.started(url: pg.unixURL, wrapper: first)
      defer { sidecar.process.signal(SIGKILL) }
      let control = try await RunningSidecar.started(url: pg.unixURL, wrapper: first)
      defer { control.process.signal(SIGKILL) }
      try await sidecar.waitUntilReady()
      try await control.waitUntilReady()
      var tried: [String] = []
      for _ in 1...3 {
        var crowd = try await AbuseClients.idle(2000, at: sidecar.health)
        async let times = latencies(of: sidecar.health, and: control.health, for: hold)
        let end = ContinuousClock.now + hold
        while ContinuousClock.now < end {
          crowd = try await AbuseClients.kept(crowd, replacing: 100, at: sidecar.health)
          try await Task.sleep(for: .milliseconds(100))
        }
        let (crowded, alone) = try await times
        #expect(crowd.count == 2000)
        #expect(crowded.count >= 20, "far too few probes: \(crowded)")
        let (p99, machine) = (crowded.p99, alone.p99)
        tried.append("\(p99) of \(crowded.count), with nobody else \(machine)")
        if p99 < max(.milliseconds(100), machine * 2) { return }
      }
      Issue.record("p99 in three attempts: \(tried)")
    }
  }

  /// Asks both in turn, each 100 ms, on a thread that comes first too. Every answer must be a yes.
  private func latencies(of probe: HTTPProbe, and control: HTTPProbe, for time: Duration) async throws
    -> ([Duration], [Duration])
  {
    try await blocking {
      var priority = sched_param(sched_priority: 1)
      pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority)
      var (times, others): ([Duration], [Duration]) = ([], [])
      let began = ContinuousClock.now
      while ContinuousClock.now - began < time {
        let answer = try probe.requestBlocking("GET", "/ready", within: .seconds(20))
        guard answer.status == 200 else { throw FixtureError("\(answer)") }
        times.append(answer.elapsed)
        others.append(try control.requestBlocking("GET", "/ready", within: .seconds(20)).elapsed)
        usleep(100_000)
      }
      return (times, others)
    }
  }

  @Test("200 clients that send a byte a second are cut, and nobody else is kept waiting")
  func slow() async throws {
    try await withSidecarAndPostgres { sidecar, _ in
      try await sidecar.waitUntilReady()
      async let ends = AbuseClients.slow(200, at: sidecar.health, within: .seconds(30))
      async let admin = AbuseClients.slow(50, at: sidecar.admin, within: .seconds(30))
      for _ in 0..<20 {
        #expect(try await sidecar.ready().status == 200)
        #expect(try await sidecar.admin.request("GET", "/status").status == 200)
        try await Task.sleep(for: .milliseconds(100))
      }
      for end in try await ends + admin {
        let time = try #require(end, "not cut within 30 s")
        // By the limit on the whole request, not by the library's on idleness, and not before.
        #expect(time > .seconds(4))
      }
    }
  }

  @Test("a crowd on the admin listener does not keep an operator out")
  func admin() async throws {
    try await withSidecarAndPostgres { sidecar, _ in
      try await sidecar.waitUntilReady()
      let crowd = try await AbuseClients.idle(500, at: sidecar.admin)
      #expect(try await AbuseClients.noise(20, seed: 1, at: sidecar.admin) == 0)
      #expect(try await sidecar.status()["ready"] == .bool(true))
      #expect(try await sidecar.post("/drain?wait=0").status == 202)
      #expect(crowd.count == 500)
    }
  }

  @Test("ten rounds of everything: no crash, no growth, every descriptor comes back")
  func rounds() async throws {
    try await withSidecarAndPostgres { sidecar, _ in
      try await sidecar.waitUntilReady()
      let health = sidecar.health
      let before = try #require(sidecar.process.usage)
      // What only the start needed is given back first, or it would be counted as growth when it comes again.
      #expect(
        await eventually(within: .seconds(60)) {
          sidecar.process.usage.map { $0.rss < before.rss - 4 << 20 } ?? false
        })
      var memory: [Int] = []
      for round in 0..<10 {
        let crowd = try await AbuseClients.idle(2000, at: health)
        async let slow = AbuseClients.slow(200, at: health, within: .seconds(30))
        async let noise = AbuseClients.noise(100, seed: UInt64(round), at: health)
        async let half = AbuseClients.halfClosed(at: health)
        for _ in 0..<10 {
          for line in try await AbuseClients.bigHeads(at: health) {
            // Its answer, or the reset that follows when the rest of what was sent is not read.
            #expect(
              ["", "431", "414", "413", "400"].contains(line.split(separator: " ").dropFirst().first ?? ""))
          }
          #expect(try await AbuseClients.pipelined(300, at: health) == 300)
        }
        #expect(try await half == ["HTTP/1.1 200 OK", "", ""])
        #expect(try await noise == 0, "not ended, with seed \(round)")
        var deaf: [ClientSocket] = []
        for _ in 0..<20 { deaf.append(try await AbuseClients.deaf(at: health)) }
        #expect(try await slow.allSatisfy { $0 != nil })
        #expect(try await sidecar.ready().status == 200)
        #expect(crowd.count + deaf.count == 2020)
        deaf = []
        _ = consume crowd
        #expect(
          await eventually(within: .seconds(30)) {
            sidecar.process.usage?.openFiles ?? .max <= before.openFiles
          },
          "\(before.openFiles) descriptors, then \(sidecar.process.usage?.openFiles ?? 0)")
        memory.append(try #require(sidecar.process.usage, "it has died:\n\(sidecar.process.logText)").rss)
      }
      let growth = (memory.max() ?? 0) - memory[0]
      if !isSanitized { #expect(growth <= 4 << 20, "resident, in KiB: \(memory.map { $0 / 1024 })") }
      #expect(try await sidecar.status()["counters"]["impossible_events"].int == 0)
      #expect(await sidecar.terminate() == .exited(0))
    }
  }

  /// A sanitizer keeps what was freed.
  private var isSanitized: Bool {
    dlsym(nil, "__asan_init") != nil || dlsym(nil, "__tsan_init") != nil
  }
}

extension [Duration] {
  fileprivate var p99: Duration { sorted()[Swift.min(count - 1, count * 99 / 100)] }
}
