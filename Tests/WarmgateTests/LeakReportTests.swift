import Foundation
import PoolCore
import Support
import Testing
import WarmPool

@testable import Health
@testable import warmgate

/// A lease that is held for too long, as operators read of it. The sidecar lends no connection yet, so a pool of its
/// own is put between its log and its status page here.
@Suite struct LeakReportTests {
  @Test(
    "a leak is a warning with file, line and task, is in /status as long as it lasts, and its end is told",
    .timeLimit(.minutes(5)))
  func report() async throws {
    try await withPostgres { postgres in
      let pipe = Pipe()
      let log = Log(format: .json, level: .info, descriptor: pipe.fileHandleForWriting.fileDescriptor)
      let reading = pipe.fileHandleForReading.fileDescriptor
      _ = fcntl(reading, F_SETFL, O_NONBLOCK)
      var configuration = WarmPool.Configuration(databaseURL: postgres.unixURL)
      configuration.pool.leakAfter = .milliseconds(200)
      configuration.pool.drainDelay = .zero
      let pool = try WarmPool(configuration) { log.event($0) }
      async let life: Void = pool.run()
      try await pool.warmed(within: .seconds(20))
      let place = "WarmgateTests/LeakReportTests.swift:\(#line + 2)"
      let holder = Task(name: "nightly report") {
        try await pool.withConnection { _ in
          #expect(await eventually { Self.leaks(pool)?.count == 1 })
          let leak = try #require(Self.leaks(pool)?.first)
          #expect(leak["acquired_at"] as? String == place + " (task nightly report)")
          #expect((leak["held"] as? Double).map { $0 >= 0.2 } == true)
          #expect(leak["connection"] as? String != nil)
        }
      }
      try await holder.value
      #expect(await eventually { Self.leaks(pool)?.isEmpty == true })
      _ = try await pool.terminate(within: .seconds(1))
      await life
      let lines = try Self.lines(reading).filter { ($0["message"] as? String)?.hasPrefix("lease ") == true }
      #expect(lines.map { $0["message"] as? String } == ["lease held for too long", "lease came back"])
      #expect(lines.map { $0["level"] as? String } == ["warn", "info"])
      for line in lines {
        #expect(line["acquired_at"] as? String == place && line["task"] as? String == "nightly report")
      }
    }
  }

  /// What `/status` says of them now.
  private static func leaks(_ pool: WarmPool) -> [[String: Any]]? {
    let observation = Observation(snapshot: pool.snapshot, now: WarmPool.now())
    let details = AdminDetails(version: "1", instance: "test", settings: [])
    let text = StatusBody(observation, details, drainsRefused: 0).json.text
    let status = try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
    return status?["leaks"] as? [[String: Any]]
  }

  private static func lines(_ reading: Int32) throws -> [[String: Any]] {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while case let count = read(reading, &buffer, buffer.count), count > 0 { bytes += buffer[..<count] }
    return try String(decoding: bytes, as: UTF8.self).split(separator: "\n").map { line in
      try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    }
  }
}
