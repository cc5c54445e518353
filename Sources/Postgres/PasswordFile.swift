import EventLoop
import Glibc

/// Reads a password from a file.
enum PasswordFile {
  /// Why it cannot be used, without its path.
  struct Failure: Error {
    var reason: String
  }

  /// PostgreSQL itself takes passwords of up to 65,535 bytes over the wire; nobody's is longer than this.
  private static let longest = 16 * 1024

  /// The first line, without its line end.
  static func read(_ path: String) throws(Failure) -> String {
    // Non-blocking: a named pipe without a writer must not hold the process.
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else { throw Failure(reason: "cannot be opened: \(errorText(errno))") }
    defer { close(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    // Read to its end and not once: a pipe gives what it has.
    while bytes.count <= longest, !bytes.contains(0x0A) {
      let count = Glibc.read(file, &chunk, chunk.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw Failure(reason: "cannot be read: \(errorText(errno))") }
      if count == 0 { break }
      bytes += chunk.prefix(count)
    }
    var line = bytes.prefix { $0 != 0x0A }
    if line.last == 0x0D { line.removeLast() }
    if line.isEmpty { throw Failure(reason: "is empty; its first line must be the password") }
    if line.count > longest { throw Failure(reason: "has a first line that is too long for a password") }
    if line.contains(0) { throw Failure(reason: "holds a zero byte; it must be a text file") }
    return String(decoding: line, as: UTF8.self)
  }
}
