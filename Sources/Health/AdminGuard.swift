/// Who may use the admin listener at all. A browser behind a port-forward is not an operator: whatever page it has
/// open could otherwise drain an instance.
struct AdminGuard: Sendable {
  let token: AdminToken?

  /// Our own page's script sends it. Another origin's script cannot without asking first (the Fetch standard's
  /// preflight), and that question is never answered with yes.
  static let pageHeader = "X-Warmgate-Page"

  /// Nil if the request may pass.
  func refusal(of request: Request) -> Response? {
    if let host = request.header("Host"), !Self.isPlainHost(host) {
      return .line(.forbidden, "refused: the Host is neither an IP address nor localhost")
    }
    if request.headers.count(where: { $0.name.isEqualIgnoringCase(to: "Host") }) > 1 {
      return .line(.forbidden, "refused: more than one Host")
    }
    if request.header("Origin") != nil, request.header(Self.pageHeader) == nil {
      return .line(.forbidden, "refused: sent by a page of another origin")
    }
    switch request.header("Sec-Fetch-Site") {
    case nil, "same-origin", "none": break
    default: return .line(.forbidden, "refused: sent by a page of another site")
    }
    if let token, !token.accepts(authorization: request.header("Authorization")) {
      return .line(
        .unauthorized, "a valid token is required: Authorization: Bearer TOKEN",
        headers: [Request.Field("WWW-Authenticate", "Bearer realm=\"warmgate\"")])
    }
    return nil
  }

  /// An IP address or `localhost`, with or without a port. A name could be made to point here by whoever owns it
  /// (DNS rebinding).
  static func isPlainHost(_ text: String) -> Bool {
    var host = text[...]
    if host.hasPrefix("[") {
      guard let end = host.firstIndex(of: "]") else { return false }
      let rest = host[host.index(after: end)...]
      guard rest.isEmpty || isPort(rest) else { return false }
      guard case .v6? = IPAddress(String(host[..<end].dropFirst())) else { return false }
      return true
    }
    if let colon = host.firstIndex(of: ":") {
      guard isPort(host[colon...]) else { return false }
      host = host[..<colon]
    }
    if host.isEqualIgnoringCase(to: "localhost") { return true }
    guard case .v4? = IPAddress(String(host)) else { return false }
    return true
  }

  private static func isPort(_ text: Substring) -> Bool {
    text.first == ":" && text.dropFirst().utf8.allSatisfy { (0x30...0x39).contains($0) }
  }
}
