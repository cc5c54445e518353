/// A number of pods, or a share of the replicas.
enum PodCount: Hashable, Sendable {
  case number(Int)
  case percent(Int)

  var isZero: Bool { self == .number(0) || self == .percent(0) }

  /// Of so many replicas. Kubernetes rounds a surge up, and unavailable pods down.
  func of(_ replicas: Int, roundingUp: Bool) -> Int {
    switch self {
    case .number(let number): number
    case .percent(let percent): (replicas * percent + (roundingUp ? 99 : 0)) / 100
    }
  }
}

extension ValueKind<PodCount> {
  static let podCount = ValueKind(placeholder: "NUMBER|PERCENT") { text throws(NotAccepted) in
    let isShare = text.hasSuffix("%")
    guard let number = try? ValueKind<Int>.count.read(isShare ? String(text.dropLast()) : text),
      number <= RolloutPlan.mostPods
    else {
      throw NotAccepted(why: "give a number of pods such as 1, or a share such as 25%")
    }
    return isShare ? .percent(number) : .number(number)
  } write: {
    switch $0 {
    case .number(let number): "\(number)"
    case .percent(let percent): "\(percent)%"
    }
  }
}
