import Foundation

/// A program of Debian's that a test runs beside itself: nothing is sent to it, and what it says goes to a file.
public final class BackgroundProgram: Sendable {
  private let process: ChildProcess
  private let path: String

  /// Throws if it cannot be started; `log` is the file.
  public init(_ command: [String], log path: String) throws {
    self.path = path
    let log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
    let null = open("/dev/null", O_RDONLY | O_CLOEXEC)
    defer { for file in [log, null] { close(file) } }
    process = try ChildProcess(command, input: null, output: log, errors: log)
  }

  public var log: String { (try? String(contentsOfFile: path, encoding: .utf8)) ?? "" }
  public var isRunning: Bool { process.isRunning }

  public func signal(_ number: Int32) { process.signal(number) }

  /// Ends it. A second call does nothing.
  public func kill() { process.kill() }
}
