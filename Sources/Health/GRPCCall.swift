import PoolCore

/// The status codes of gRPC that are used here.
enum GRPCStatus: Int, Hashable, Sendable {
  case ok = 0
  case deadlineExceeded = 4
  case notFound = 5
  case resourceExhausted = 8
  case unimplemented = 12
  case `internal` = 13
}

/// One call: a request, as it comes in on its stream, and what is answered.
struct GRPCCall {
  /// The name of a service is short, and so is everything else here.
  static let longestRequest = 1024
  /// Names, values, and 32 bytes for each field (RFC 9113, 6.5.2).
  static let longestHeaders = 8 * 1024

  /// What has been sent of the answer, and what comes next.
  enum Phase: Hashable {
    /// The request is on its way. → answering, watching
    case arriving
    /// The answer is sent, and with it the call is over.
    case answering
    /// `Watch`: told of every change. → answering
    case watching(HealthService?, told: ServingStatus?)
  }

  var phase = Phase.arriving
  /// The headers are here, to the last one.
  var hasHeaders = false
  /// Whether it is, or was, told of changes.
  private(set) var isWatch = false
  /// When it is given up: unless it has arrived by then, or as its client said.
  var deadline: Instant
  /// Of messages that are being sent.
  var unsent: ArraySlice<UInt8> = []

  private let began: Instant
  private var method = ""
  private var path = ""
  private var contentType = ""
  private(set) var userAgent: String?
  private var timeout: Duration?
  private var headerSize = 0
  private var body: [UInt8] = []

  init(at now: Instant, arrival: Duration) {
    began = now
    deadline = now + arrival
  }

  /// False if there are too many.
  mutating func add(header name: UnsafeBufferPointer<UInt8>, _ value: UnsafeBufferPointer<UInt8>) -> Bool {
    headerSize += name.count + value.count + 32
    guard headerSize <= Self.longestHeaders else { return false }
    let text = String(decoding: value, as: UTF8.self)
    switch String(decoding: name, as: UTF8.self) {
    case ":method": method = text
    case ":path": path = text
    case "content-type": contentType = text
    case "user-agent": userAgent = text
    case "grpc-timeout":
      timeout = Duration(grpcTimeout: text)
      if let timeout { deadline = min(deadline, began + timeout) }
    default: break
    }
    return true
  }

  /// False if it is longer than any request here.
  mutating func add(body bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    guard body.count + bytes.count <= GRPCMessage.prefixSize + Self.longestRequest else { return false }
    body += bytes
    return true
  }

  /// What a whole request is answered with.
  enum Reply: Hashable {
    /// And then `ok`.
    case message([UInt8])
    /// The current status at once, and every change of it.
    case watch(HealthService?)
    case refusal(GRPCStatus, String)
    /// It is no gRPC call.
    case http(String)
  }

  func reply(_ board: StatusBoard, at now: Instant) -> Reply {
    if method != "POST" { return .http("405") }
    guard isGRPC else { return .http("415") }
    do throws(GRPCMessage.Malformed) {
      switch path {
      case "/grpc.health.v1.Health/Check":
        let status = board.status(of: try service, at: now)
        return status == .serviceUnknown
          ? .refusal(.notFound, "unknown service; there are ready, live and startup")
          : .message(GRPCMessage.response(status))
      case "/grpc.health.v1.Health/Watch": return .watch(try service)
      case "/grpc.health.v1.Health/List":
        _ = try service
        return .message(
          GRPCMessage.list(HealthService.allCases.map { ($0.rawValue, board.status(of: $0, at: now)) }))
      default: return .refusal(.unimplemented, "there is grpc.health.v1.Health with Check, Watch and List")
      }
    } catch {
      return switch error {
      case .compressed: .refusal(.unimplemented, "compressed messages are not understood")
      case .count: .refusal(.unimplemented, "one message is expected")
      case .message: .refusal(.internal, "the message is no HealthCheckRequest")
      }
    }
  }

  /// It asks once whether traffic may come.
  var asksReadiness: Bool {
    guard path == "/grpc.health.v1.Health/Check", let service = try? service else { return false }
    return service == .whole || service == .ready
  }

  /// What is asked for; nil if it is not known.
  private var service: HealthService? {
    get throws(GRPCMessage.Malformed) {
      HealthService(name: try GRPCMessage.service(in: GRPCMessage.only(in: body)))
    }
  }

  /// `application/grpc`, perhaps with the encoding of messages or a parameter after it.
  private var isGRPC: Bool {
    guard let rest = contentType.lowercased().removing(prefix: "application/grpc") else { return false }
    return rest.isEmpty || rest.hasPrefix("+") || rest.hasPrefix(";")
  }

  /// The answer begins; a watch goes on for as long as its client wants.
  mutating func begin(_ reply: Reply) {
    body = []
    deadline = .distantFuture
    switch reply {
    case .message(let message):
      phase = .answering
      unsent = GRPCMessage.framed(message)[...]
    case .watch(let service):
      phase = .watching(service, told: nil)
      isWatch = true
      if let timeout { deadline = began + timeout }
    case .refusal, .http: phase = .answering
    }
  }

  /// `Watch`: makes a message of the status if it is news. Whatever came and went while the client did not read is
  /// left out.
  mutating func tell(_ board: StatusBoard, at now: Instant) {
    guard unsent.isEmpty, case .watching(let service, let told) = phase else { return }
    let status = board.status(of: service, at: now)
    guard status != told else { return }
    phase = .watching(service, told: status)
    unsent = GRPCMessage.framed(GRPCMessage.response(status))[...]
  }

  /// `Watch`: whether there is news.
  func hasNews(_ board: StatusBoard, at now: Instant) -> Bool {
    guard case .watching(let service, let told) = phase else { return false }
    return board.status(of: service, at: now) != told
  }
}

extension Duration {
  /// `grpc-timeout`: at most eight digits and a unit. Nil for anything else.
  init?(grpcTimeout text: String) {
    guard let unit = text.last, (2...9).contains(text.utf8.count) else { return nil }
    let digits = text.dropLast()
    guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int64(digits) else {
      return nil
    }
    switch unit {
    case "H": self = .seconds(number * 3600)
    case "M": self = .seconds(number * 60)
    case "S": self = .seconds(number)
    case "m": self = .milliseconds(number)
    case "u": self = .microseconds(number)
    case "n": self = .nanoseconds(number)
    default: return nil
    }
  }
}
