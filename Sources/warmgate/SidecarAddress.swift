import Health

/// Where a running sidecar answers: taken from `--url`, or from the same environment that `serve` reads, so that
/// a command inside the sidecar's container needs no options.
struct SidecarAddress: Hashable, Sendable {
  enum Kind: Hashable, Sendable {
    /// Tried in order.
    case tcp(hosts: [String], port: UInt16)
    case unix(path: String)
  }

  let kind: Kind
  /// Comes before every path that is asked; empty, or with a slash at its begin and none at its end.
  let pathPrefix: String

  private init(kind: Kind, pathPrefix: String) {
    self.kind = kind
    self.pathPrefix = pathPrefix
  }

  /// `http://host`, `http://host:port`, `http://host:port/prefix`, `http://[::1]:8086` or `unix:/path`.
  init(url: String) throws(UsageError) {
    func refuse(_ why: String) -> UsageError { UsageError("--url \(url.quoted): \(why)") }
    if url.hasPrefix("unix:") {
      do {
        self = SidecarAddress(try ListenAddress(parsing: url))
        return
      } catch {
        throw refuse(error.reason(about: url))
      }
    }
    guard let scheme = url.firstRange(of: "://") else {
      throw refuse("give http://HOST:PORT or unix:/path")
    }
    guard url[..<scheme.lowerBound] == "http" else {
      throw refuse("give http://HOST:PORT or unix:/path; a sidecar speaks plain HTTP")
    }
    let rest = url[scheme.upperBound...].prefix { $0 != "?" && $0 != "#" }
    let authority = rest.prefix { $0 != "/" }
    guard !authority.contains("@") else { throw refuse("a user name or password has no meaning here") }
    guard let (host, port) = Self.hostAndPort(authority), !host.isEmpty else {
      throw refuse("give a host and a port between 1 and 65535, such as http://127.0.0.1:8086")
    }
    var path = rest[authority.endIndex...]
    while path.last == "/" { path.removeLast() }
    guard path.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else { throw refuse("the path is not valid") }
    self.init(kind: .tcp(hosts: [host], port: port), pathPrefix: String(path))
  }

  /// The address under which this machine reaches a listener: a wildcard is asked on loopback.
  init(_ address: ListenAddress) {
    let text = address.description
    pathPrefix = ""
    if address.isUnix {
      kind = .unix(path: String(text.dropFirst("unix:".count)))
      return
    }
    let (host, port) = Self.hostAndPort(text[...]) ?? ("", address.port ?? 0)
    kind =
      switch host {
      case "", "::", "0.0.0.0":
        .tcp(hosts: host == "0.0.0.0" ? ["127.0.0.1"] : ["127.0.0.1", "::1"], port: port)
      default: .tcp(hosts: [host], port: port)
      }
  }

  /// The brackets of an IPv6 address are removed. Without a port it is 80, as `http` has it.
  private static func hostAndPort(_ text: Substring) -> (host: String, port: UInt16)? {
    var host = text
    var port: UInt16? = 80
    if let colon = text.lastIndex(of: ":"), !text[colon...].contains("]") {
      host = text[..<colon]
      let digits = text[text.index(after: colon)...]
      port = digits.utf8.allSatisfy { (0x30...0x39).contains($0) } ? UInt16(digits) : nil
    }
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = host.dropFirst().dropLast()
    } else if host.contains(":") {
      return nil
    }
    guard let port, port > 0, host.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else { return nil }
    return (String(host), port)
  }

  /// `path` behind the prefix. A URL that already ends with the path asked for is taken as it is.
  func target(_ path: String) -> String {
    pathPrefix == path || pathPrefix.hasSuffix(path) ? pathPrefix : pathPrefix + path
  }

  /// For messages: `127.0.0.1:8086`, `unix:/run/warmgate.sock`.
  var text: String {
    switch kind {
    case .tcp(let hosts, let port): Self.authority(hosts.first ?? "", port)
    case .unix(let path): "unix:\(path)"
    }
  }

  /// The `Host` header, with this address in place of the host's name if given. Over a Unix socket there is no name to
  /// give, and the admin address takes `localhost`.
  func hostHeader(number: String?) -> String {
    switch kind {
    case .tcp(_, let port): number.map { Self.authority($0, port) } ?? text
    case .unix: "localhost"
    }
  }

  private static func authority(_ host: String, _ port: UInt16) -> String {
    host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
  }
}

extension SidecarAddress {
  enum Listener: Sendable {
    case health, admin

    var flag: String { self == .health ? "listen" : "admin-listen" }
    var standard: ListenAddress {
      self == .health ? ServeSettings.defaultListen : ServeSettings.defaultAdminListen
    }
  }

  /// `--url` if given, else what the listener's variable says, else its default.
  static func find(
    _ listener: Listener, arguments: Arguments, environment: [String: String]
  ) throws(UsageError) -> SidecarAddress {
    if let url = arguments.value("url") { return try SidecarAddress(url: url) }
    let variable = Setting.variablePrefix + listener.flag.uppercased().replacing("-", with: "_")
    guard let text = environment[variable], !text.isEmpty else { return SidecarAddress(listener.standard) }
    do {
      return SidecarAddress(try ListenAddress(parsing: text))
    } catch {
      throw UsageError("\(variable) \(text.quoted): \(error.reason(about: text))")
    }
  }
}
