/// `text` with every password in it replaced by `***`, whether it is a connection URI (`user:password@`,
/// `?password=`, `?sslpassword=`), a keyword string (`password=…`) or neither.
///
/// In doubt it hides too much: a URI that libpq would read differently, or not at all, must not show a password
/// because of the way it is broken.
func hidingPasswords(in text: String) -> String {
  if let range = text.firstRange(of: "://") {
    return text[..<range.upperBound] + hidingInURI(text[range.upperBound...])
  }
  return hidingInKeywords(text)
}

private let hidden = "***"

/// `password` and `sslpassword`, and whatever a later libpq may call a secret.
private func isSecret(_ keyword: some StringProtocol) -> Bool {
  let name = percentDecoded(keyword).lowercased()
  return (name.contains("pass") && name != "passfile") || name.contains("secret") || name.contains("token")
}

private func hidingInURI(_ rest: Substring) -> String {
  let query = startOfParameters(rest)
  var head = String(rest[..<query])
  // A password may hold an unescaped "@", "/" or "?", so it ends at the last "@", not at the first.
  var tail = rest[query...]
  if let at = head.lastIndex(of: "@") {
    head = hidingCredentials(head[..<at]) + head[at...]
  } else if let at = rest.lastIndex(of: "@"), let colon = rest.firstIndex(of: ":"), colon < query {
    // No "@" before the parameters, but a colon and an "@" after: what looks like parameters may be the password.
    head = hidingCredentials(rest[..<at])
    tail = rest[at...]
  }
  return head + hidingInParameters(tail)
}

private func hidingCredentials(_ credentials: some StringProtocol) -> String {
  guard let colon = credentials.firstIndex(of: ":") else { return String(credentials) }
  return credentials[...colon] + hidden
}

/// The first `?` that a parameter follows, such as `?sslmode=`; the end if there is none.
private func startOfParameters(_ text: Substring) -> Substring.Index {
  var index = text.startIndex
  while let mark = text[index...].firstIndex(of: "?") {
    let name = text[text.index(after: mark)...].prefix {
      $0.isLetter || $0.isNumber || $0 == "_" || $0 == "%"
    }
    if !name.isEmpty, name.endIndex < text.endIndex, text[name.endIndex] == "=" { return mark }
    index = text.index(after: mark)
  }
  return text.endIndex
}

private func hidingInParameters(_ text: Substring) -> String {
  text.split(separator: "&", omittingEmptySubsequences: false).map { parameter in
    guard let equals = parameter.firstIndex(of: "=") else { return String(parameter) }
    let name = parameter[..<equals]
    return isSecret(name.drop { $0 == "?" }) ? name + "=" + hidden : String(parameter)
  }.joined(separator: "&")
}

/// libpq's keyword strings (PostgreSQL manual, "Connection Strings"): spaces around `=` are allowed, values may be
/// quoted with `'`, and a backslash takes the next character as it is.
private func hidingInKeywords(_ text: String) -> String {
  var result = ""
  var rest = text[...]
  var followsSecret = false
  while true {
    result.append(takeSpaces(&rest))
    if rest.isEmpty { return result }
    let keyword = String(rest.prefix { $0 != "=" && !$0.isWhitespace })
    rest = rest.dropFirst(keyword.count)
    var sign = takeSpaces(&rest)
    guard rest.first == "=" else {
      // Not a keyword string after all, or a broken one: a word after a secret or its name may belong to it.
      result += (followsSecret ? hidden : keyword) + sign
      followsSecret = followsSecret || isSecret(keyword)
      continue
    }
    result += keyword
    rest = rest.dropFirst()
    sign += "=" + takeSpaces(&rest)
    let value = takeValue(&rest)
    followsSecret = isSecret(keyword)
    result += sign + (followsSecret ? hidden : value)
  }
}

private func takeSpaces(_ rest: inout Substring) -> String {
  let spaces = rest.prefix { $0.isWhitespace }
  rest = rest[spaces.endIndex...]
  return String(spaces)
}

private func takeValue(_ rest: inout Substring) -> String {
  var value = ""
  let isQuoted = rest.first == "'"
  if isQuoted { value.append(rest.removeFirst()) }
  while let next = rest.first {
    if !isQuoted, next.isWhitespace { break }
    value.append(rest.removeFirst())
    if next == "\\", let escaped = rest.first {
      value.append(escaped)
      rest.removeFirst()
    } else if isQuoted, next == "'" {
      break
    }
  }
  return value
}

private func percentDecoded(_ text: some StringProtocol) -> String {
  var bytes: [UInt8] = []
  var rest = Array(text.utf8)[...]
  while let byte = rest.popFirst() {
    let digits = rest.prefix(2)
    if byte == UInt8(ascii: "%"), digits.count == 2,
      let decoded = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
    {
      bytes.append(decoded)
      rest = rest.dropFirst(2)
    } else {
      bytes.append(byte)
    }
  }
  return String(decoding: bytes, as: UTF8.self)
}
