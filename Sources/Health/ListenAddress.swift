import Glibc

/// Where a listener is bound: `127.0.0.1:8086`, `[::1]:8086`, `[::]:8086` (both IP families), `:8086` (every
/// address, of whichever families the machine has), `localhost:8086` or `unix:/path`.
public struct ListenAddress: Hashable, Sendable, CustomStringConvertible {
  enum Kind: Hashable, Sendable {
    case ipv4(address: String, port: UInt16)
    case ipv6(address: String, port: UInt16)
    /// `[::]` where IPv6 exists, `0.0.0.0` elsewhere.
    case any(port: UInt16)
    case unix(path: String)
  }

  let kind: Kind

  init(_ kind: Kind) { self.kind = kind }

  /// A text that is no listen address: one line that says what is accepted.
  public struct Invalid: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String
  }

  /// The longest path of a Unix socket on Linux (unix(7): `sun_path` has 108 bytes, one of them the final zero).
  static let longestUnixPath = 107

  /// Reads an address. A host name other than `localhost` is refused: what it means depends on a resolver.
  public init(parsing text: String) throws(Invalid) {
    if let path = text.removing(prefix: "unix:") {
      kind = .unix(path: try Self.unixPath(String(path), in: text))
      return
    }
    guard let colon = text.lastIndex(of: ":"), !text[text.index(after: colon)...].contains("]") else {
      throw Invalid(description: "\"\(text)\" has no port; write it as 127.0.0.1:8086 or [::1]:8086")
    }
    let host = text[..<colon]
    let digits = text[text.index(after: colon)...]
    guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = UInt16(digits)
    else {
      throw Invalid(description: "\"\(text)\" has no port between 0 and 65535 after its last colon")
    }
    switch host {
    case "", "*": kind = .any(port: port)
    case "localhost": kind = .ipv4(address: "127.0.0.1", port: port)
    case _ where host.hasPrefix("[") && host.hasSuffix("]"):
      let inner = String(host.dropFirst().dropLast())
      guard let address = IPAddress(inner), case .v6 = address else {
        throw Invalid(description: "\"\(text)\": \"\(inner)\" is not an IPv6 address")
      }
      kind = .ipv6(address: inner, port: port)
    case _ where host.contains(":"):
      throw Invalid(description: "\"\(text)\": an IPv6 address needs brackets, such as [::1]:8086")
    default:
      guard let address = IPAddress(String(host)), case .v4 = address else {
        throw Invalid(
          description: "\"\(text)\": \"\(host)\" is not an IP address; names are not looked up here")
      }
      kind = .ipv4(address: String(host), port: port)
    }
  }

  private static func unixPath(_ path: String, in text: String) throws(Invalid) -> String {
    guard path.hasPrefix("/") else {
      throw Invalid(description: "\"\(text)\" needs an absolute path, such as unix:/run/warmgate/admin.sock")
    }
    guard !path.hasSuffix("/"), !path.utf8.contains(0) else {
      throw Invalid(description: "\"\(text)\" does not name a file")
    }
    guard path.utf8.count <= longestUnixPath else {
      throw Invalid(
        description:
          "\"\(text)\": the path has \(path.utf8.count) bytes, a Unix socket allows \(longestUnixPath)")
    }
    return path
  }

  /// Only this machine can reach it, and every user of it can: 127.0.0.0/8 or ::1. A Unix socket is not loopback.
  public var isLoopback: Bool {
    switch kind {
    case .ipv4(let address, _), .ipv6(let address, _): IPAddress(address)?.isLoopback ?? false
    case .any, .unix: false
    }
  }

  /// Whether it is a path of this machine.
  public var isUnix: Bool { unixPath != nil }

  var unixPath: String? {
    if case .unix(let path) = kind { path } else { nil }
  }

  /// Nil for a Unix socket.
  public var port: UInt16? {
    switch kind {
    case .ipv4(_, let port), .ipv6(_, let port), .any(let port): port
    case .unix: nil
    }
  }

  public var description: String {
    switch kind {
    case .ipv4(let address, let port): "\(address):\(port)"
    case .ipv6(let address, let port): "[\(address)]:\(port)"
    case .any(let port): ":\(port)"
    case .unix(let path): "unix:\(path)"
    }
  }
}

extension StringProtocol {
  /// The rest after `prefix`, nil if it does not begin with it.
  func removing(prefix: String) -> SubSequence? {
    hasPrefix(prefix) ? dropFirst(prefix.count) : nil
  }
}
