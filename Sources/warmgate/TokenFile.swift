/// The file that holds the admin token, such as a mounted Kubernetes secret.
enum TokenFile {
  /// A token is a word, not a document.
  private static let longest = 4096

  /// The token, without the white space around it.
  static func read(_ path: String) throws(TextFile.Failure) -> String {
    let bytes = try TextFile.bytes(of: path, atMost: longest, advice: "; a token is a word")
    let words = bytes.split { $0 == 0x20 || (0x09...0x0D).contains($0) }
    guard let token = words.first else { throw TextFile.Failure("the file is empty") }
    // Anything else would break out of the header it is sent in.
    guard words.count == 1, token.allSatisfy({ (0x21...0x7E).contains($0) }) else {
      throw TextFile.Failure("the file must hold one word of printable ASCII")
    }
    return String(decoding: token, as: UTF8.self)
  }
}
