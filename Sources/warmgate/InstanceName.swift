import Glibc

/// The `application_name` of an instance's sessions: `warmgate/` + the tail of the host's name + `-` + six
/// hexadecimal digits, such as `warmgate/payments-7c9f-xk2lp-04be1f`. Instances are counted by it.
enum InstanceName {
  /// PostgreSQL cuts application_name at NAMEDATALEN - 1 bytes.
  static let longest = 63
  /// Leaves 23 bytes of the host's name: the part that Kubernetes makes unique.
  static let longestBase = 32

  /// The host's name comes from the environment and may hold anything: what is not printable ASCII, and what
  /// would look like a separator, becomes `_`. Its tail is kept because pods differ there.
  static func make(base: String, hostname: String, id: String) -> String {
    let room = longest - base.utf8.count - id.utf8.count - 2
    let host = hostname.utf8.map { isAllowed($0) ? $0 : UInt8(ascii: "_") }.suffix(max(0, room))
    let tail = String(decoding: host, as: UTF8.self)
    return tail.isEmpty ? "\(base)/\(id)" : "\(base)/\(tail)-\(id)"
  }

  /// A new one for this process.
  static func make(base: String, environment: [String: String]) -> String {
    let id = UInt32.random(in: 0..<(1 << 24))
    let hex = String(id, radix: 16)
    return make(
      base: base, hostname: environment["HOSTNAME"] ?? systemName(),
      id: String(repeating: "0", count: 6 - hex.count) + hex)
  }

  private static func systemName() -> String {
    var name = utsname()
    guard uname(&name) == 0 else { return "" }
    return withUnsafeBytes(of: name.nodename) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }

  static func isAllowed(_ byte: UInt8) -> Bool {
    (0x21...0x7E).contains(byte) && byte != UInt8(ascii: "/")
  }
}

extension ValueKind<String> {
  static let applicationName = ValueKind(placeholder: "NAME") { text throws(NotAccepted) in
    guard (1...InstanceName.longestBase).contains(text.utf8.count),
      text.utf8.allSatisfy(InstanceName.isAllowed)
    else {
      throw NotAccepted(
        why: "give 1 to \(InstanceName.longestBase) printable ASCII characters without space and /")
    }
    return text
  } write: {
    $0
  }
}
