import Glibc
import Health
import PoolCore

/// systemd, or whoever else reads what a service says of itself (sd_notify(3)). Nothing is sent unless it asked for it
/// with `NOTIFY_SOCKET`.
///
/// The start is over (`READY=1`) when the instance has been ready once, not when it listens: what is ordered after it
/// wants the way to the database, as a container behind a startup probe does. That may take as long as the database
/// is away, so the start's time limit is extended again and again until then: an outage must not have the service
/// killed. An instance that starts drained, or is drained before it was ready, is where it was asked to be: that is
/// a start, too.
struct ServiceManager {
  private let socket: Int32
  private let name: sockaddr_un
  private let nameSize: socklen_t
  /// Half of the time after which it restarts a service that is silent; nil if it does not.
  private let beat: Duration?
  private let log: Log

  private var hasStarted = false
  private var isStopping = false
  private var toldStatus = ""
  private var nextBeat: Instant?
  private var nextExtension = Instant.origin
  private var isFailing = false
  /// When `look` is to be called again, whatever happens.
  private(set) var nextLook: Instant?

  /// While not ready, the reason may change without a transition.
  private static let lookInterval: Duration = .seconds(1)
  /// Looked at again so soon while there is no beat to pass on, or a message could not be sent.
  private static let retryInterval: Duration = .milliseconds(250)
  /// The start may take this much longer, said again after a third of it.
  private static let startExtension: Duration = .seconds(60)

  /// Nil if nobody wants to know. Takes the variables out of the environment, so that no child speaks for the service:
  /// to be called before there are threads.
  init?(environment: [String: String], log: Log) {
    for variable in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] { unsetenv(variable) }
    guard let path = environment["NOTIFY_SOCKET"], !path.isEmpty else { return nil }
    guard let (name, size) = Self.socketName(path) else {
      log.warn("NOTIFY_SOCKET is no Unix socket: nobody is notified", ["NOTIFY_SOCKET": .string(path)])
      return nil
    }
    let kind = Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    socket = Glibc.socket(AF_UNIX, kind, 0)
    guard socket >= 0 else { return nil }
    self.name = name
    nameSize = size
    self.log = log
    beat = Self.watchdog(environment)
  }

  /// A path, or a name in the abstract namespace with `@` before it.
  private static func socketName(_ path: String) -> (sockaddr_un, socklen_t)? {
    guard path.hasPrefix("/") || path.hasPrefix("@"), path.utf8.count > 1 else { return nil }
    var name = sockaddr_un()
    name.sun_family = sa_family_t(AF_UNIX)
    var bytes = Array(path.utf8)
    // What follows the zero is all of an abstract name; a path ends with one.
    if bytes[0] == UInt8(ascii: "@") { bytes[0] = 0 } else { bytes.append(0) }
    let fits = withUnsafeMutableBytes(of: &name.sun_path) { space in
      if bytes.count > space.count { return false }
      space.copyBytes(from: bytes)
      return true
    }
    guard fits, let start = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) else { return nil }
    return (name, socklen_t(start + bytes.count))
  }

  private static func watchdog(_ environment: [String: String]) -> Duration? {
    if let pid = environment["WATCHDOG_PID"], pid != String(getpid()) { return nil }
    guard let text = environment["WATCHDOG_USEC"], let time = Int64(text), time > 0 else { return nil }
    return max(.microseconds(time / 2), .milliseconds(1))
  }

  /// Says what is news: that the start is over, what `/ready` says, that the loop beats.
  mutating func look(_ observation: Observation) {
    let (snapshot, now) = (observation.snapshot, observation.now)
    let isBeating = now - snapshot.taken < Snapshot.stalledAfter
    var lines: [String] = []
    let starts = !hasStarted && (snapshot.hasBeenReady || [.draining, .drained].contains(snapshot.phase))
    if starts { lines.append("READY=1") }
    // Not for a loop that is stuck: nothing is to be expected of that.
    let extends = !hasStarted && !starts && !isStopping && isBeating && nextExtension <= now
    if extends { lines.append(Self.extending(Self.startExtension)) }
    let beats = isBeating && beat != nil && (nextBeat ?? .origin) <= now
    if beats { lines.append("WATCHDOG=1") }
    let status = observation.line
    if status != toldStatus { lines.append("STATUS=\(status)") }

    if send(lines) {
      hasStarted = hasStarted || starts
      toldStatus = status
      if extends { nextExtension = now + Self.startExtension.scaled(by: 1.0 / 3) }
      if beats, let beat { nextBeat = now + beat }
    }
    var next: [Instant] = []
    if isFailing { next.append(now + Self.retryInterval) }
    if !observation.isReady || !hasStarted { next.append(now + Self.lookInterval) }
    if beat != nil {
      let soonest = isBeating && !isFailing ? now : now + Self.retryInterval
      next.append(max(nextBeat ?? now, soonest))
    }
    nextLook = next.min()
  }

  /// The process ends, and nothing takes that back: never said of a drain, which a resume does. `limit` is how long
  /// it may take.
  mutating func stop(within limit: Duration) {
    guard !isStopping else { return }
    isStopping = true
    send(["STOPPING=1", Self.extending(limit)])
  }

  private static func extending(_ time: Duration) -> String {
    "EXTEND_TIMEOUT_USEC=\(max(1, time.inNanoseconds / 1000))"
  }

  /// False if it was not taken: it is said again then. Never waits.
  @discardableResult
  private mutating func send(_ lines: [String]) -> Bool {
    if lines.isEmpty {
      isFailing = false
      return true
    }
    let message = Array(lines.joined(separator: "\n").utf8)
    let sent = withUnsafeBytes(of: name) { bytes in
      bytes.withMemoryRebound(to: sockaddr.self) {
        sendto(socket, message, message.count, Int32(MSG_NOSIGNAL), $0.baseAddress, nameSize)
      }
    }
    let code = errno
    if sent < 0, !isFailing {
      log.warn("the service manager takes no message: \(String(cString: strerror(code)))")
    }
    isFailing = sent < 0
    return sent >= 0
  }
}
