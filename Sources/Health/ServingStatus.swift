import PoolCore

/// `grpc.health.v1.HealthCheckResponse.ServingStatus`.
enum ServingStatus: UInt8, Hashable, Sendable {
  case serving = 1
  case notServing = 2
  /// Of `Watch` only.
  case serviceUnknown = 3
}

/// What can be asked by name. The same answers as the HTTP paths give, from the same code.
enum HealthService: String, Hashable, Sendable, CaseIterable {
  /// The whole server: as `ready`.
  case whole = ""
  case ready
  case live
  case startup

  /// The names of the HTTP paths, and those of Kubernetes' probes.
  init?(name: String) {
    switch name {
    case "readiness": self = .ready
    case "liveness": self = .live
    default: self.init(rawValue: name)
    }
  }

  private var question: Question {
    switch self {
    case .whole, .ready: .ready
    case .live: .live
    case .startup: .startup
    }
  }

  func status(_ observation: Observation) -> ServingStatus {
    Answer(question, observation).isYes ? .serving : .notServing
  }
}

/// The statuses at one moment, found once for all who ask at it. On the listener's thread only.
final class StatusBoard {
  private let observe: @Sendable () -> Observation
  private var foundAt: Instant?
  private var statuses: [HealthService: ServingStatus] = [:]

  init(_ observe: @escaping @Sendable () -> Observation) { self.observe = observe }

  /// The status of a service; nil is one that is not known. `now` is the listener's own time, and the same for everything
  /// that it does in one turn.
  func status(of service: HealthService?, at now: Instant) -> ServingStatus {
    guard let service else { return .serviceUnknown }
    if foundAt != now {
      let observation = observe()
      foundAt = now
      for service in HealthService.allCases { statuses[service] = service.status(observation) }
    }
    return statuses[service] ?? .notServing
  }
}
