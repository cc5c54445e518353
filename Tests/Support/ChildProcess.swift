import CSupport
import Dispatch
import Foundation
import Synchronization

/// How a process ended.
public enum ExitStatus: Hashable, Sendable, CustomStringConvertible {
  case exited(Int32)
  case signalled(Int32)

  public var description: String {
    switch self {
    case .exited(let code): "exit \(code)"
    case .signalled(let signal): "signal \(signal)"
    }
  }
}

/// A child of the test process, in a session of its own, reaped at once when it ends, killed when the test
/// process dies or this object goes.
public final class ChildProcess: Sendable {
  public let pid: pid_t
  private let ending = Ending()

  /// Guards the pid: no signal is sent after the child was reaped, when the number may be another's.
  private final class Ending: Sendable {
    let status = Mutex<ExitStatus?>(nil)
    let ended = DispatchSemaphore(value: 0)
  }

  /// Starts `command`; its first word is looked up in PATH. The descriptors stay the caller's.
  public init(
    _ command: [String], environment: [String: String] = cleanEnvironment(), input: Int32, output: Int32,
    errors: Int32
  ) throws {
    let pid = try spawn(command, environment: environment, input: input, output: output, errors: errors)
    let ending = ending
    self.pid = pid
    SafetyNet.shared.add(.process(pid))
    Thread.detachNewThread {
      support_wait_for_end(pid)
      ending.status.withLock { status in
        SafetyNet.shared.forget(.process(pid))
        var raw: Int32 = 0
        waitpid(pid, &raw, 0)
        status = raw & 0x7F == 0 ? .exited((raw >> 8) & 0xFF) : .signalled(raw & 0x7F)
      }
      ending.ended.signal()
    }
  }

  deinit {
    if isRunning { kill() }
  }

  /// Nil while it runs.
  public var status: ExitStatus? { ending.status.withLock { $0 } }
  public var isRunning: Bool { status == nil }

  /// False if the process had ended already.
  @discardableResult
  public func signal(_ number: Int32) -> Bool {
    ending.status.withLock { $0 == nil && Glibc.kill(pid, number) == 0 }
  }

  /// SIGKILL, and waits until it is gone.
  public func kill() {
    signal(SIGKILL)
    _ = waitBlocking(within: .seconds(10))
  }

  /// Nil if it still runs after that time.
  public func wait(within limit: Duration) async -> ExitStatus? {
    await blocking { self.waitBlocking(within: limit) }
  }

  /// `wait` for a thread that may block.
  public func waitBlocking(within limit: Duration) -> ExitStatus? {
    if ending.ended.wait(timeout: .now() + limit.seconds) == .success {
      ending.ended.signal()  // for whoever else waits
    }
    return status
  }
}

/// The environment of the tests without anything that libpq or Warmgate would read, in a fixed language and with
/// the system directories in PATH.
public func cleanEnvironment(adding extra: [String: String] = [:]) -> [String: String] {
  var environment = ProcessInfo.processInfo.environment.filter { name, _ in
    !name.hasPrefix("PG") && !name.hasPrefix("WARMGATE_") && name != "DATABASE_URL" && !name.hasPrefix("LC_")
      && name != "LANGUAGE"
  }
  environment["LC_ALL"] = "C.UTF-8"
  environment["PATH", default: "/usr/bin:/bin"] += ":/usr/sbin:/sbin"
  return environment.merging(extra) { $1 }
}

func spawn(
  _ command: [String], environment: [String: String] = cleanEnvironment(), input: Int32, output: Int32,
  errors: Int32
) throws -> pid_t {
  guard let program = command.first else { throw FixtureError("an empty command") }
  var arguments = command.map { strdup($0) } + [nil]
  var variables = environment.map { strdup("\($0)=\($1)") } + [nil]
  defer { for text in arguments + variables { free(text) } }
  var pid: pid_t = 0
  let failure = support_spawn(&pid, &arguments, &variables, input, output, errors)
  guard failure == 0 else {
    throw FixtureError("cannot start \(program): \(String(cString: strerror(failure)))")
  }
  return pid
}

extension Duration {
  var seconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
  var milliseconds: Int { Int(seconds * 1000) }
}

func sleepBlocking(_ duration: Duration) { usleep(UInt32(max(0, duration.seconds * 1e6))) }

func errnoText(_ number: Int32 = errno) -> String { String(cString: strerror(number)) }
