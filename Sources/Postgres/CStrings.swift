/// Calls `body` with the strings as C strings, and a null pointer behind the last.
func withCStrings<Result>(
  _ strings: [String?], _ body: (UnsafePointer<UnsafePointer<CChar>?>?) -> Result
) -> Result {
  var bytes: [CChar] = []
  var offsets: [Int?] = []
  for string in strings {
    offsets.append(string == nil ? nil : bytes.count)
    guard let string else { continue }
    bytes.append(contentsOf: string.utf8.lazy.map { CChar(bitPattern: $0) })
    bytes.append(0)
  }
  return bytes.withUnsafeBufferPointer { bytes in
    var pointers = offsets.map { offset in offset.flatMap { bytes.baseAddress?.advanced(by: $0) } }
    pointers.append(nil)
    return pointers.withUnsafeBufferPointer { body($0.baseAddress) }
  }
}

/// The longest text of a server or of libpq that is passed on.
let longestMessage = 500

/// Lines and tabs become single spaces, and what is beyond `longestMessage` bytes is cut.
func oneLine(_ text: some StringProtocol) -> String {
  let line = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
  guard line.utf8.count > longestMessage else { return line }
  var cut = ""
  var bytes = 0
  for character in line {
    bytes += character.utf8.count
    if bytes > longestMessage - 3 { break }
    cut.append(character)
  }
  return cut + "…"
}
