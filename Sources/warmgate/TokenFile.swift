import EventLoop
import Glibc

/// The file that holds the admin token, such as a mounted Kubernetes secret.
enum TokenFile {
  struct Unusable: Error, Hashable, Sendable, CustomStringConvertible {
    let description: String
  }

  /// A token is a word, not a document.
  private static let longest = 4096

  /// The token, without the white space around it.
  static func read(_ path: String) throws(Unusable) -> String {
    // Non-blocking: a named pipe without a writer must not hold the process.
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else { throw Unusable(description: "cannot be opened: \(errorText(errno))") }
    defer { close(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: longest + 1)
    while true {
      let count = buffer.withUnsafeMutableBytes { Glibc.read(file, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw Unusable(description: "cannot be read: \(errorText(errno))") }
      if count == 0 { break }
      bytes += buffer[..<count]
      if bytes.count > longest { throw Unusable(description: "is longer than 4096 bytes; a token is a word") }
    }
    let words = bytes.split { $0 == 0x20 || (0x09...0x0D).contains($0) }
    guard let token = words.first else { throw Unusable(description: "the file is empty") }
    // Anything else would break out of the header it is sent in.
    guard words.count == 1, token.allSatisfy({ (0x21...0x7E).contains($0) }) else {
      throw Unusable(description: "the file must hold one word of printable ASCII")
    }
    return String(decoding: token, as: UTF8.self)
  }
}
