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
    // Non-blocking: a named pipe without a writer must not hold the process.
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else { throw Failure("cannot be opened: \(errorText(errno))") }
    defer { close(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = buffer.withUnsafeMutableBytes { Glibc.read(file, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw Failure("cannot be read: \(errorText(errno))") }
      if count == 0 { return String(decoding: bytes, as: UTF8.self) }
      bytes += buffer[..<count]
      if bytes.count > limit { throw Failure("is longer than \(limit) bytes") }
    }
  }

  /// In the place of what was there.
  static func write(_ text: String, to path: String) throws(Failure) {
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard file >= 0 else { throw Failure("cannot be opened: \(errorText(errno))") }
    defer { close(file) }
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw Failure("cannot be written: \(errorText(errno))") }
      bytes = bytes.dropFirst(count)
    }
  }
}
