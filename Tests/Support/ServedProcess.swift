import Foundation
import Synchronization

/// The built `warmgate` executable, running, with every line it has written.
public final class ServedProcess: Sendable {
  public struct Line: Sendable {
    /// When it was read, a moment after it was written.
    public let at: ContinuousClock.Instant
    public let text: String
  }

  /// The moment just before the process was started.
  public let started: ContinuousClock.Instant
  private let child: ChildProcess
  private let errors = LineCollector()
  private let output = LineCollector()

  /// The executable under test: `WARMGATE_EXECUTABLE`, or the one that was built with the tests.
  public static let executable: String = {
    if let path = ProcessInfo.processInfo.environment["WARMGATE_EXECUTABLE"] { return path }
    let tests = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? "."
    return URL(fileURLWithPath: tests).deletingLastPathComponent().appendingPathComponent("warmgate").path
  }()

  /// Starts it. Nothing that libpq or Warmgate reads is inherited from the environment.
  ///
  /// - Parameters:
  ///   - namespace: the network namespace to run in.
  ///   - wrapper: words before the command, such as `["unshare", "--pid", "--fork"]`; signals go to the wrapper.
  public init(
    _ arguments: [String], environment: [String: String] = [:], namespace: String? = nil,
    wrapper: [String] = []
  ) throws {
    let (errorsIn, errorsOut) = Descriptors.pipe()
    let (outputIn, outputOut) = Descriptors.pipe()
    let null = open("/dev/null", O_RDONLY | O_CLOEXEC)
    defer { for end in [errorsOut, outputOut, null] { close(end) } }
    errors.collect(errorsIn)
    output.collect(outputIn)
    started = .now
    let place = namespace.map { ["ip", "netns", "exec", $0] } ?? []
    child = try ChildProcess(
      place + wrapper + [Self.executable] + arguments, environment: cleanEnvironment(adding: environment),
      input: null, output: outputOut, errors: errorsOut)
  }

  public var pid: pid_t { child.pid }
  public var status: ExitStatus? { child.status }
  public var isRunning: Bool { child.isRunning }

  /// Lines of standard error so far: the log.
  public var log: [Line] { errors.lines }
  public var logText: String { errors.lines.map(\.text).joined(separator: "\n") }
  /// Standard output so far.
  public var outputText: String { output.lines.map(\.text).joined(separator: "\n") }

  /// The first log line that contains `text`; nil if none came in time or the process ended without it.
  public func logLine(containing text: String, within limit: Duration = .seconds(10)) async -> Line? {
    await logLine(within: limit) { $0.text.contains(text) }
  }

  public func logLine(within limit: Duration = .seconds(10), where fits: (Line) -> Bool) async -> Line? {
    var found: Line?
    _ = await eventually(within: limit, every: .milliseconds(5)) {
      let finished = errors.isFinished
      found = log.first(where: fits)
      return found != nil || finished
    }
    return found
  }

  public func signal(_ number: Int32) { child.signal(number) }
  public func terminate() { child.signal(SIGTERM) }
  public func suspend() { suspendProcess(pid) }
  public func resume() { child.signal(SIGCONT) }
  public func kill() async { await blocking { self.child.kill() } }

  /// How it ended, with all of its output read; nil if it still runs after that time.
  public func exit(within limit: Duration = .seconds(10)) async -> ExitStatus? {
    let status = await child.wait(within: limit)
    if status != nil {
      // A grandchild could keep a pipe open; the rest of the output is not worth waiting long for.
      _ = await eventually(within: .seconds(2), every: .milliseconds(2)) {
        errors.isFinished && output.isFinished
      }
    }
    return status
  }

  /// What the kernel counts for the process; nil once it has ended.
  public var usage: ProcessUsage? { ProcessUsage(of: pid) }
}

/// Collects lines from a pipe on a thread of its own until the last writer has closed it.
private final class LineCollector: Sendable {
  private let state = Mutex<(lines: [ServedProcess.Line], finished: Bool)>(([], false))

  var lines: [ServedProcess.Line] { state.withLock { $0.lines } }
  var isFinished: Bool { state.withLock { $0.finished } }

  func collect(_ pipe: Int32) {
    Thread.detachNewThread { [self] in
      var partial: [UInt8] = []
      var buffer = [UInt8](repeating: 0, count: 16_384)
      while true {
        let count = read(pipe, &buffer, buffer.count)
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { break }
        let now = ContinuousClock.now
        partial += buffer[..<count]
        var pieces = partial.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        partial = Array(pieces.removeLast())
        let lines = pieces.map { ServedProcess.Line(at: now, text: String(decoding: $0, as: UTF8.self)) }
        state.withLock { $0.lines += lines }
      }
      close(pipe)
      let rest = String(decoding: partial, as: UTF8.self)
      state.withLock {
        if !rest.isEmpty { $0.lines.append(ServedProcess.Line(at: .now, text: rest)) }
        $0.finished = true
      }
    }
  }
}
