import EventLoop
import Glibc

/// Reads a password from a file.
enum PasswordFile {
  struct Failure: Error, CustomStringConvertible {
    var description: String
  }

  /// PostgreSQL itself takes passwords of up to 65,535 bytes over the wire; nobody's is longer than this.
  private static let longest = 16 * 1024

  /// The first line, without its line end.
  static func read(_ path: String) throws(Failure) -> String {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw Failure(description: "cannot open \(path): \(errorText(errno))") }
    defer { close(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    // Read to its end and not once: a pipe gives what it has.
    while bytes.count <= longest, !bytes.contains(0x0A) {
      let count = Glibc.read(file, &chunk, chunk.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw Failure(description: "cannot read \(path): \(errorText(errno))") }
      if count == 0 { break }
      bytes += chunk.prefix(count)
    }
    var line = bytes.prefix { $0 != 0x0A }
    if line.last == 0x0D { line.removeLast() }
    if line.isEmpty { throw Failure(description: "\(path) is empty: its first line must be the password") }
    if line.count > longest {
      throw Failure(description: "the first line of \(path) is too long for a password")
    }
    if line.contains(0) { throw Failure(description: "\(path) holds a zero byte: it is not a text file") }
    return String(decoding: line, as: UTF8.self)
  }
}
