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
  private var found: (at: Instant, from: Observation)?
  private var statuses: [HealthService: ServingStatus] = [:]

  init(_ observe: @escaping @Sendable () -> Observation) { self.observe = observe }

  /// The status of a service; nil is one that is not known. `now` is the listener's own time, and the same for everything
  /// that it does in one turn.
  func status(of service: HealthService?, at now: Instant) -> ServingStatus {
    guard let service else { return .serviceUnknown }
    _ = observation(at: now)
    return statuses[service] ?? .notServing
  }

  /// What the statuses at that time are made of.
  func observation(at now: Instant) -> Observation {
    if let found, found.at == now { return found.from }
    let observation = observe()
    found = (now, observation)
    for service in HealthService.allCases { statuses[service] = service.status(observation) }
    return observation
  }
}
