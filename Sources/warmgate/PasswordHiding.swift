/// `text` with every password in it replaced by `***`, whether it is a connection URI (`user:password@`,
/// `?password=`, `?sslpassword=`), a keyword string (`password=…`) or neither.
///
/// In doubt it hides too much: a URI that libpq would read differently, or not at all, must not show a password
/// because of the way it is broken.
///
/// It looks at Unicode scalars, as libpq at bytes: to a `Character`, an accent that begins a password would be part of
/// the sign before it.
func hidingPasswords(in text: String) -> String {
  let scalars = Substring(text).unicodeScalars
  if let scheme = scalars.firstRange(of: "://".unicodeScalars),
    !scalars[..<scheme.lowerBound].contains(where: { $0 == "=" || isSpace($0) })
  {
    return String(Substring(scalars[..<scheme.upperBound])) + hidingInURI(scalars[scheme.upperBound...])
  }
  if let colon = scalars.firstIndex(of: ":"), let at = scalars.lastIndex(of: "@"), colon < at,
    !beginsWithKeyword(scalars)
  {
    // A URI that has lost its beginning.
    return String(Substring(scalars[...colon])) + hidden + hidingInParameters(scalars[at...])
  }
  return hidingInKeywords(scalars)
}

private typealias Scalars = Substring.UnicodeScalarView

private let hidden = "***"

/// `password` and `sslpassword`, and whatever a later libpq or another driver may call a secret.
private func isSecret(_ keyword: some StringProtocol) -> Bool {
  let name = percentDecoded(keyword).lowercased()
  return name.contains("pass") && name != "passfile" || name.contains("pwd") || name.contains("secret")
    || name.contains("token")
}

/// As C's isspace() in the C locale.
private func isSpace(_ scalar: Unicode.Scalar) -> Bool {
  scalar == " " || (0x09...0x0D).contains(scalar.value)
}

private func isPartOfName(_ scalar: Unicode.Scalar) -> Bool {
  scalar.properties.isAlphabetic || ("0"..."9").contains(scalar) || scalar == "_" || scalar == "%"
}

// MARK: - URIs

private func hidingInURI(_ rest: Scalars) -> String {
  let query = startOfParameters(rest)
  let head = rest[..<query]
  // A password may hold an unescaped "@", "/" or "?", so it ends at the last "@", not at the first.
  if let at = head.lastIndex(of: "@") {
    return hidingCredentials(head[..<at]) + String(Substring(head[at...]))
      + hidingInParameters(rest[query...])
  }
  if let at = rest.lastIndex(of: "@"), let colon = rest.firstIndex(of: ":"), colon < at,
    colon < query || rest.prefix(while: { $0 != "/" }).contains("@")
  {
    // No "@" before the parameters, but a colon and an "@" after: what looks like parameters may be the password.
    // To libpq it is, unless a "/" comes first.
    return hidingCredentials(rest[..<at]) + hidingInParameters(rest[at...])
  }
  return String(Substring(head)) + hidingInParameters(rest[query...])
}

private func hidingCredentials(_ credentials: Scalars) -> String {
  guard let colon = credentials.firstIndex(of: ":") else { return String(Substring(credentials)) }
  return String(Substring(credentials[...colon])) + hidden
}

/// The first `?` that a parameter follows, such as `?sslmode=`; the end if there is none.
private func startOfParameters(_ text: Scalars) -> Scalars.Index {
  var index = text.startIndex
  while let mark = text[index...].firstIndex(of: "?") {
    let name = text[text.index(after: mark)...].prefix(while: isPartOfName)
    if !name.isEmpty, name.endIndex < text.endIndex, text[name.endIndex] == "=" { return mark }
    index = text.index(after: mark)
  }
  return text.endIndex
}

private func hidingInParameters(_ text: Scalars) -> String {
  text.split(separator: "&", omittingEmptySubsequences: false).enumerated().map { number, parameter in
    guard let equals = parameter.firstIndex(of: "=") else {
      // A parameter without a value does not exist: it is the rest of a value with an unescaped "&".
      return number == 0 || parameter.isEmpty ? String(Substring(parameter)) : hidden
    }
    let name = Substring(parameter[..<equals].drop { $0 == "?" })
    let value = parameter[parameter.index(after: equals)...]
    return String(Substring(parameter[...equals])) + (isSecret(name) ? hidden : hidingInside(value))
  }.joined(separator: "&")
}

// MARK: - Keyword strings

private func beginsWithKeyword(_ text: Scalars) -> Bool {
  let name = text.drop(while: isSpace).prefix(while: isPartOfName)
  return !name.isEmpty && text[name.endIndex...].drop(while: isSpace).first == "="
}

/// libpq's keyword strings (PostgreSQL manual, "Connection Strings"): spaces around `=` are allowed, values may be
/// quoted with `'`, and a backslash takes the next character as it is.
private func hidingInKeywords(_ text: Scalars) -> String {
  var result = ""
  var rest = text
  var followsSecret = false
  while true {
    result += takeSpaces(&rest)
    if rest.isEmpty { return result }
    let keyword = rest.prefix { $0 != "=" && !isSpace($0) }
    rest = rest[keyword.endIndex...]
    var sign = takeSpaces(&rest)
    guard rest.first == "=" else {
      // Not a keyword string after all, or a broken one: a word after a secret or its name may belong to it.
      result += (followsSecret ? hidden : hidingInside(keyword)) + sign
      followsSecret = followsSecret || isSecret(Substring(keyword))
      continue
    }
    result += hidingInside(keyword)
    rest = rest.dropFirst()
    sign += "=" + takeSpaces(&rest)
    let value = takeValue(&rest)
    followsSecret = isSecret(Substring(keyword))
    result += sign + (followsSecret ? hidden : hidingInside(value))
  }
}

private func takeSpaces(_ rest: inout Scalars) -> String {
  let spaces = rest.prefix(while: isSpace)
  rest = rest[spaces.endIndex...]
  return String(Substring(spaces))
}

private func takeValue(_ rest: inout Scalars) -> Scalars {
  let start = rest
  let isQuoted = rest.first == "'"
  if isQuoted { rest = rest.dropFirst() }
  while let next = rest.first {
    if !isQuoted, isSpace(next) { break }
    rest = rest.dropFirst()
    if next == "\\" {
      rest = rest.dropFirst()
    } else if isQuoted, next == "'" {
      break
    }
  }
  return start[..<rest.startIndex]
}

/// A value that is no secret itself may hold one: a whole URI as a database name, or `Pwd=…` where another driver's
/// separators are used.
private func hidingInside(_ value: Scalars) -> String {
  if let scheme = value.firstRange(of: "://".unicodeScalars) {
    return String(Substring(value[..<scheme.upperBound])) + hidingInURI(value[scheme.upperBound...])
  }
  var index = value.startIndex
  while let sign = value[index...].firstIndex(where: { $0 == "=" || $0 == ":" }) {
    var before = value[..<sign]
    while let last = before.last, last == "\"" || last == "'" || isSpace(last) { before.removeLast() }
    var name = before[before.endIndex...]
    while name.startIndex > before.startIndex {
      let previous = before.index(before: name.startIndex)
      guard isPartOfName(before[previous]) else { break }
      name = before[previous...]
    }
    if isSecret(Substring(name)) { return String(Substring(value[...sign])) + hidden }
    index = value.index(after: sign)
  }
  return String(Substring(value))
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
