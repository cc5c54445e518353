import Glibc

/// A file that holds one secret on its first line, such as a mounted Kubernetes secret.
enum SecretFile {
  struct Unreadable: Error, Hashable, Sendable, CustomStringConvertible {
    let description: String
  }

  /// Longer than any token, short enough to read a wrong path such as /dev/zero without harm.
  private static let longest = 64 * 1024

  /// The text without the line break at its end.
  static func read(_ path: String) throws(Unreadable) -> String {
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else { throw Unreadable(description: "cannot be opened: \(systemError(errno))") }
    defer { close(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while bytes.count <= longest {
      let count = buffer.withUnsafeMutableBytes { Glibc.read(file, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw Unreadable(description: "cannot be read: \(systemError(errno))") }
      if count == 0 {
        while let last = bytes.last, last == 0x0A || last == 0x0D { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
      }
      bytes += buffer[..<count]
    }
    throw Unreadable(description: "is larger than 64 KiB; this is not the file")
  }
}

extension String {
  var trimmingWhitespace: String {
    let end = reversed().drop(while: \.isWhitespace)
    return String(String(end.reversed()).drop(while: \.isWhitespace))
  }
}

/// The system's words for an error number. glibc keeps the text per thread.
func systemError(_ number: Int32) -> String { String(cString: strerror(number)) }
