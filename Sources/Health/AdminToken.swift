import Glibc

/// The secret of `--admin-token-file`. The file is read for every request, so that a rotated one is used at once.
struct AdminToken: Hashable, Sendable {
  let path: String

  enum Unusable: Error {
    case unreadable(Int32)
    case notAFile
    case empty
    case tooLong
  }

  /// A token is a word, not a document.
  private static let longest = 4096

  /// The file without the white space around it.
  func read() throws(Unusable) -> [UInt8] {
    // Non-blocking: a named pipe must not stop the listener.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw .unreadable(errno) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { throw .notAFile }
    var bytes = [UInt8](repeating: 0, count: Self.longest + 1)
    var length = 0
    while length < bytes.count {
      let count = bytes.withUnsafeMutableBytes { space in
        Glibc.read(descriptor, space.baseAddress.map { $0 + length }, space.count - length)
      }
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw .unreadable(errno) }
      if count == 0 { break }
      length += count
    }
    guard length <= Self.longest else { throw .tooLong }
    let isSpace: (UInt8) -> Bool = { $0 == 0x20 || (0x09...0x0D).contains($0) }
    let token = bytes[..<length].drop(while: isSpace)
    let end = token.lastIndex { !isSpace($0) }.map { $0 + 1 } ?? token.startIndex
    guard end > token.startIndex else { throw .empty }
    return Array(token[..<end])
  }

  /// `Authorization: Bearer …` (RFC 6750, 2.1) with our token.
  func accepts(authorization: String?) -> Bool {
    guard let authorization, let token = try? read() else { return false }
    let parts = authorization.split(separator: " ", maxSplits: 1)
    guard parts.count == 2, parts[0].isEqualIgnoringCase(to: "bearer") else { return false }
    return Self.isEqual(presented: Array(parts[1].trimmingSpaces.utf8), token)
  }

  /// Takes the same time wherever the two differ. The time tells the length of what was presented, which its
  /// sender knows.
  private static func isEqual(presented: [UInt8], _ token: [UInt8]) -> Bool {
    var difference = UInt8(presented.count == token.count ? 0 : 1)
    for (index, byte) in presented.enumerated() { difference |= byte ^ token[index % token.count] }
    return difference == 0
  }
}

extension ListenError {
  init(tokenFile path: String, _ reason: AdminToken.Unusable) {
    let text =
      switch reason {
      case .unreadable(let code): "cannot be read: \(String(cString: strerror(code)))"
      case .notAFile: "is not a regular file"
      case .empty: "is empty; put the token that callers must send into it"
      case .tooLong: "is longer than 4096 bytes; a token is a word"
      }
    self.init("admin-token-file", "\(path) \(text)")
  }
}
