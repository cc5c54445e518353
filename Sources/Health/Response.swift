/// A response as the routes make it, whatever carries it. The carrier adds Content-Length and Date.
struct Response: Hashable, Sendable {
  enum Status: Int, Hashable, Sendable {
    case ok = 200
    case accepted = 202
    case badRequest = 400
    case unauthorized = 401
    case forbidden = 403
    case notFound = 404
    case methodNotAllowed = 405
    case conflict = 409
    case serviceUnavailable = 503
  }

  var status: Status
  var mediaType: MediaType
  /// Besides those that every response has.
  var headers: [Request.Field]
  var body: String

  init(_ status: Status, _ mediaType: MediaType, headers: [Request.Field] = [], body: String) {
    self.status = status
    self.mediaType = mediaType
    self.headers = headers
    self.body = body
  }

  /// One line of text; the line break is added.
  static func line(_ status: Status, _ line: String, headers: [Request.Field] = []) -> Response {
    Response(status, .text, headers: headers, body: line + "\n")
  }

  /// Every header but Content-Length and Date.
  var allHeaders: [Request.Field] {
    [
      Request.Field("Content-Type", mediaType.rawValue),
      Request.Field("Cache-Control", "no-store"),
      Request.Field("X-Content-Type-Options", "nosniff"),
    ] + headers
  }
}

/// What a request is answered with, and when.
enum Reply: Sendable {
  case now(Response)
  /// The closure runs once the response has been sent, or its client is gone.
  case nowThen(Response, @Sendable () -> Void)
  /// The answer comes through the ticket that `begin` gets, perhaps much later. `crowded` is called instead when
  /// too many requests wait already. Whoever still waits when the listener stops gets `stopped`.
  case later(begin: @Sendable (Ticket) -> Void, crowded: @Sendable () -> Response, stopped: Response)
}

/// Answers requests. Called on the listener's thread: it must not block.
protocol RequestHandler: Sendable {
  /// The path that a request is counted under, whatever it is answered.
  func counted(_ request: Request) -> RequestCounts.Path
  func reply(to request: Request) -> Reply
}
