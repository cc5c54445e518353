import EventLoop
import Glibc

/// A file of text that a command reads or writes once.
enum TextFile {
  /// Why it cannot be read or written, in the system's words or ours.
  struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
  }

  /// All of it; bytes that are no UTF-8 become replacement characters.
  static func read(_ path: String, atMost limit: Int) throws(Failure) -> String {
    String(decoding: try bytes(of: path, atMost: limit), as: UTF8.self)
  }

  /// All of it, as it is. `advice` is said of a file that is too long. `waits`: for a writer at the other end of a pipe
  /// that takes its time; otherwise that is a failure, because nobody has time for it while serving.
  static func bytes(
    of path: String, atMost limit: Int, advice: String = "", waits: Bool = false
  ) throws(Failure) -> [UInt8] {
    // Non-blocking: a named pipe without a writer must not hold the process.
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else { throw Failure("cannot be opened: \(errorText(errno))") }
    defer { close(file) }
    return try bytes(from: file, atMost: limit, advice: advice, waits: waits)
  }

  /// All that comes until its end.
  static func bytes(
    from file: Int32, atMost limit: Int, advice: String = "", waits: Bool
  ) throws(Failure) -> [UInt8] {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = buffer.withUnsafeMutableBytes { Glibc.read(file, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      if count < 0, errno == EAGAIN, waits {
        var waiting = pollfd(fd: file, events: Int16(POLLIN), revents: 0)
        if poll(&waiting, 1, -1) >= 0 || errno == EINTR { continue }
      }
      guard count >= 0 else { throw Failure("cannot be read: \(errorText(errno))") }
      if count == 0 { return bytes }
      bytes += buffer[..<count]
      if bytes.count > limit { throw Failure("is longer than \(limit) bytes\(advice)") }
    }
  }

  /// In the place of what was there.
  static func write(_ text: String, to path: String) throws(Failure) {
    try write(Array(text.utf8), to: path)
  }

  static func write(_ content: [UInt8], to path: String) throws(Failure) {
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard file >= 0 else { throw Failure("cannot be opened: \(errorText(errno))") }
    defer { close(file) }
    var bytes = content[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw Failure("cannot be written: \(errorText(errno))") }
      bytes = bytes.dropFirst(count)
    }
  }
}
