/// Something in the command line or the environment that is not accepted: one line that names the option, the
/// value and what is accepted. The process prints it and exits with 2; nothing has been started.
struct UsageError: Error, Hashable, Sendable, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }

  /// The exit code of every usage error.
  static let exitCode: Int32 = 2
}

extension String {
  /// In quotes, for an error line or a log: passwords hidden, control characters escaped, at most 80 characters.
  var quoted: String {
    let shown = hidingPasswords(in: self).escapingControls
    return "\"\(shown.count > 80 ? shown.prefix(79) + "…" : shown)\""
  }

  /// Line breaks and other control characters as escapes, so that a value can never begin a line of its own or
  /// steer a terminal.
  var escapingControls: String {
    if !unicodeScalars.contains(where: \.isControl) { return self }
    var text = ""
    for scalar in unicodeScalars {
      switch scalar {
      case "\n": text += "\\n"
      case "\r": text += "\\r"
      case "\t": text += "\\t"
      case _ where scalar.isControl: text += "\\u{\(String(scalar.value, radix: 16))}"
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text
  }
}

extension Unicode.Scalar {
  /// C0 and C1 controls, DEL, the line and paragraph separators, and what turns the direction of writing.
  var isControl: Bool {
    switch value {
    case 0..<0x20, 0x7F..<0xA0, 0x2028...0x202E, 0x2066...0x2069: true
    default: false
    }
  }
}
