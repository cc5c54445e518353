/// What a probe asks Warmgate.
enum Question {
  case ready, live, startup, other

  init(_ action: ContainerProbe.Action) {
    switch action {
    case .http(let path, _):
      let path = path.prefix { $0 != "?" }
      switch path.split(separator: "/").first {
      case nil, "*", "ready", "readyz": self = .ready
      case "live", "livez": self = .live
      case "startup", "startupz": self = .startup
      default: self = .other
      }
    case .grpc(let service, _):
      switch service {
      case "", "ready", "readiness": self = .ready
      case "live", "liveness": self = .live
      case "startup": self = .startup
      default: self = .other
      }
    case .exec(let words):
      let words = words.flatMap { $0.value.split { $0.isWhitespace || ";&|()".contains($0) } }
      let place = words.indices.first {
        words[$0].split(separator: "/").last == "warmgate" && words.dropFirst($0 + 1).first == "probe"
      }
      switch place.flatMap({ words.dropFirst($0 + 2).first }) {
      case "ready": self = .ready
      case "live": self = .live
      case "startup": self = .startup
      default: self = .other
      }
    case .tcp, .none: self = .other
    }
  }

  /// What is written to ask something else, in the form of `action`.
  func written(like action: ContainerProbe.Action) -> String {
    let word =
      switch self {
      case .ready, .other: "ready"
      case .live: "live"
      case .startup: "startup"
      }
    return switch action {
    case .grpc: "service: \(word)"
    case .exec: "command: [/warmgate, probe, \(word)]"
    case .http, .tcp, .none: "path: /\(word)"
    }
  }
}
