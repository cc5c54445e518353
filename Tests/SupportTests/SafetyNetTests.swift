import Foundation
import Support
import Testing

/// Set for the run that is going to be killed: the file it reports to.
private let victimVariable = "SUPPORT_TESTS_VICTIM"

@Suite("nothing outlives a test run")
struct SafetyNetTests {
  @Test("a run that is killed leaves no server, not even a suspended one, and no directory")
  func killedRun() async throws {
    if let report = ProcessInfo.processInfo.environment[victimVariable] {
      return try await holdServer(reportingTo: report)
    }
    let directory = try TemporaryDirectory()
    let report = directory.file("report")
    let run = try Self.startVictim(reportingTo: report)
    var words: [Substring] = []
    #expect(
      await eventually(within: .seconds(30)) {
        words = try String(contentsOfFile: report, encoding: .utf8).split(whereSeparator: \.isWhitespace)
        return !words.isEmpty
      })
    let cluster = String(try #require(words.first))
    let pids = words.dropFirst().compactMap { pid_t($0) }
    #expect(pids.count > 3)
    #expect(pids.allSatisfy { kill($0, 0) == 0 })
    run.kill()
    #expect(await eventually { !FileManager.default.fileExists(atPath: cluster) })
    #expect(await eventually { pids.allSatisfy(Self.isGone) })
  }

  /// The part of the run that is killed.
  private func holdServer(reportingTo report: String) async throws {
    try await withPostgres { pg in
      await pg.suspend()
      let pids = [pg.pid].compactMap { $0 } + pg.backends
      try "\(pg.socketDirectory) \(pids.map(String.init).joined(separator: " "))\n"
        .write(toFile: report, atomically: true, encoding: .utf8)
      try await Task.sleep(for: .seconds(60))
    }
  }

  private static func startVictim(reportingTo report: String) throws -> ChildProcess {
    let null = open("/dev/null", O_RDWR)
    defer { close(null) }
    let executable = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    return try ChildProcess(
      [executable, "--testing-library", "swift-testing", "--filter", "SafetyNetTests/killedRun"],
      environment: cleanEnvironment(adding: [victimVariable: report]), input: null, output: null, errors: null
    )
  }

  private static func isGone(_ pid: pid_t) -> Bool {
    guard let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return true }
    return stat.contains(") Z ")
  }
}
