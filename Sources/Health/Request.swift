/// A request as the routes see it, whatever carried it.
struct Request: Hashable, Sendable {
  enum Method: Hashable, Sendable {
    case get, head, options, post
    case other(String)

    init(_ name: String) {
      self =
        switch name {
        case "GET": .get
        case "HEAD": .head
        case "OPTIONS": .options
        case "POST": .post
        default: .other(name)
        }
    }

    var name: String {
      switch self {
      case .get: "GET"
      case .head: "HEAD"
      case .options: "OPTIONS"
      case .post: "POST"
      case .other(let name): name
      }
    }
  }

  struct Field: Hashable, Sendable {
    var name: String
    var value: String

    init(_ name: String, _ value: String) {
      self.name = name
      self.value = value
    }
  }

  var method: Method
  /// Without the query, percent-decoded.
  var path: String
  /// In order; a parameter without `=` has an empty value.
  var query: [Field]
  /// In order, as sent.
  var headers: [Field]
  /// Who asks; nil over a Unix socket.
  var peer: IPAddress?

  init(
    _ method: Method, _ path: String, query: [Field] = [], headers: [Field] = [], peer: IPAddress? = nil
  ) {
    self.peer = peer
    self.method = method
    self.path = Self.withoutAuthority(path)
    self.query = query
    self.headers = headers
  }

  /// The first header of that name, in any case.
  func header(_ name: String) -> String? {
    headers.first { $0.name.isEqualIgnoringCase(to: name) }?.value
  }

  /// The last value of a query parameter, nil if it was not given.
  func parameter(_ name: String) -> String? { query.last { $0.name == name }?.value }

  /// A proxy may send the absolute form, `GET http://host/ready` (RFC 9112, 3.2.2).
  private static func withoutAuthority(_ target: String) -> String {
    guard let rest = target.removing(prefix: "http://") ?? target.removing(prefix: "https://") else {
      return target
    }
    return rest.firstIndex(of: "/").map { String(rest[$0...]) } ?? "/"
  }
}

extension StringProtocol {
  /// Equal but for the case of ASCII letters.
  func isEqualIgnoringCase(to other: some StringProtocol) -> Bool {
    utf8.count == other.utf8.count
      && utf8.elementsEqual(other.utf8) { $0 == $1 || ($0.asciiLowercased == $1.asciiLowercased) }
  }
}

extension UInt8 {
  var asciiLowercased: UInt8 { (0x41...0x5A).contains(self) ? self | 0x20 : self }
}
