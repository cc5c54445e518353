import PoolCore

/// `GET /` for a browser: one document without outside parts. It says state and reason by itself; its script asks
/// `/status` for the rest, again and again.
///
/// Nothing in it can act: no drain, no resume. A browser behind a port-forward is not an operator.
struct StatusPage {
  let summary: StatusSummary

  init(_ observation: Observation, _ details: AdminDetails) {
    summary = StatusSummary(observation, details)
  }

  var response: Response {
    let nonce = Self.nonce()
    return Response(
      .ok, .html,
      headers: [
        Request.Field("Content-Security-Policy", Self.policy(nonce: nonce)),
        Request.Field("Referrer-Policy", "no-referrer"),
        Request.Field("X-Frame-Options", "DENY"),
        Request.Field("Cross-Origin-Resource-Policy", "same-origin"),
      ],
      body: document(nonce: nonce))
  }

  /// Our own script and style, named by a number nobody can guess, and questions to where the page came from: nothing
  /// else. Even our own script cannot make markup of a string (Trusted Types).
  private static func policy(nonce: String) -> String {
    "default-src 'none'; script-src 'nonce-\(nonce)'; style-src 'nonce-\(nonce)'; connect-src 'self'; "
      + "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
      + "require-trusted-types-for 'script'; trusted-types 'none'"
  }

  /// 128 bits of the system's randomness, as hexadecimal digits.
  private static func nonce() -> String {
    var random = SystemRandomNumberGenerator()
    return (0..<2).map { _ in
      let digits = String(random.next() as UInt64, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }.joined()
  }

  private func document(nonce: String) -> String {
    var document = ""
    for part in Self.template {
      switch part {
      case .text(let text): document += text
      case .value(let name): document += value(name, nonce: nonce)
      }
    }
    return document
  }

  /// Everything that is not ours is escaped.
  private func value(_ name: Substring, nonce: String) -> String {
    switch name {
    case "nonce": nonce
    case "style": Self.style
    case "script": Self.script
    case "state": summary.state.htmlEscaped
    case "headline": summary.headline.htmlEscaped
    case "since": summary.since.htmlEscaped
    case "instance": summary.instance.htmlEscaped
    case "version": summary.version.htmlEscaped
    case "pool": summary.pool.htmlEscaped
    case "reasons": summary.reasons.map(Self.item).joined()
    default: ""
    }
  }

  private static func item(_ reason: StatusSummary.Line) -> String {
    let advice = reason.advice.map { "<p class=\"advice\">\($0.htmlEscaped)</p>" } ?? ""
    return "<li><p class=\"said\">\(reason.text.htmlEscaped)</p>\(advice)</li>"
  }

  // MARK: - Its parts

  private enum Part {
    case text(String)
    case value(Substring)
  }

  private static let style = String(decoding: PackageResources.page_css, as: UTF8.self)
  private static let script = String(decoding: PackageResources.page_js, as: UTF8.self)

  /// The document with its values, written `{{name}}`, taken out.
  private static let template: [Part] = {
    var parts: [Part] = []
    var rest = String(decoding: PackageResources.page_html, as: UTF8.self)[...]
    while let begin = rest.firstRange(of: "{{"), let end = rest[begin.upperBound...].firstRange(of: "}}") {
      parts += [.text(String(rest[..<begin.lowerBound])), .value(rest[begin.upperBound..<end.lowerBound])]
      rest = rest[end.upperBound...]
    }
    return parts + [.text(String(rest))]
  }()
}

extension String {
  /// As text or as a quoted attribute of an HTML document.
  fileprivate var htmlEscaped: String {
    var escaped = ""
    for scalar in unicodeScalars {
      switch scalar {
      case "&": escaped += "&amp;"
      case "<": escaped += "&lt;"
      case ">": escaped += "&gt;"
      case "\"": escaped += "&quot;"
      case "'": escaped += "&#39;"
      default: escaped.unicodeScalars.append(scalar)
      }
    }
    return escaped
  }
}
