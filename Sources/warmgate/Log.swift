import Glibc
import Health
import PoolCore
import Synchronization

/// One line per event to standard error, from any thread.
///
/// It never holds its caller for long. Whoever reads the other end may have stopped; and standard error is shared
/// with other processes, so it must not be made non-blocking. A line is written only when the descriptor says
/// that it takes one: the first that finds it full waits up to 100 ms, those after it not at all until it takes
/// lines again. What was dropped is counted and told in the next line that gets through.
final class Log: Sendable {
  private let format: LogFormat
  private let level: LogLevel
  private let descriptor: Int32
  private let dropped = Mutex(0)

  static let patience: Int32 = 100

  /// A nil format is text on a terminal and JSON otherwise.
  init(format: LogFormat?, level: LogLevel, descriptor: Int32 = STDERR_FILENO) {
    self.format = format ?? (isatty(descriptor) == 1 ? .text : .json)
    self.level = level
    self.descriptor = descriptor
  }

  convenience init(_ settings: ServeSettings) {
    self.init(format: settings.logFormat, level: settings.logLevel)
  }

  /// Lines that could not be written and have not been told of yet.
  var droppedLines: Int { dropped.withLock { $0 } }

  func note(_ level: LogLevel, _ message: String, _ fields: KeyValuePairs<String, JSON> = [:]) {
    note(level, message, fields: fields.map { .init($0.key, $0.value) })
  }

  func note(_ level: LogLevel, _ message: String, fields: [JSON.Member]) {
    guard level >= self.level else { return }
    let line = LogLine(time: .now(), level: level, message: message, fields: fields)
    write(line.bytes(as: format))
  }

  func error(_ message: String, _ fields: KeyValuePairs<String, JSON> = [:]) { note(.error, message, fields) }
  func warn(_ message: String, _ fields: KeyValuePairs<String, JSON> = [:]) { note(.warn, message, fields) }
  func info(_ message: String, _ fields: KeyValuePairs<String, JSON> = [:]) { note(.info, message, fields) }
  func debug(_ message: String, _ fields: KeyValuePairs<String, JSON> = [:]) { note(.debug, message, fields) }

  private func write(_ line: [UInt8]) {
    dropped.withLock { dropped in
      if dropped > 0 {
        guard isWritable(within: 0) else {
          dropped += 1
          return
        }
        let report = LogLine(
          time: .now(), level: .warn, message: "log lines were dropped: nobody read them",
          fields: [.init("dropped", .int(dropped))])
        if put(report.bytes(as: format)) { dropped = 0 }
      }
      if !isWritable(within: dropped > 0 ? 0 : Self.patience) || !put(line) { dropped += 1 }
    }
  }

  private func isWritable(within milliseconds: Int32) -> Bool {
    var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    while true {
      let count = poll(&waiting, 1, milliseconds)
      if count < 0, errno == EINTR { continue }
      return count > 0 && waiting.revents & Int16(POLLOUT) != 0
    }
  }

  /// One write; of a line that was not taken whole the rest follows if there is room for it at once.
  private func put(_ line: [UInt8]) -> Bool {
    var rest = line[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count > 0 {
        rest = rest.dropFirst(count)
        if !rest.isEmpty, !isWritable(within: Self.patience) { return false }
      } else if errno != EINTR {
        return false
      }
    }
    return true
  }
}
