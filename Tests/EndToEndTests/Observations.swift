import Support
import Testing

extension Observer.Observation {
  /// When the answer was there: whatever it says was decided between `at` and this moment.
  var answered: ContinuousClock.Instant { at + elapsed }
}

extension [Observer.Observation] {
  /// The statuses in their order, repetitions in a row left out; nil for a request without an answer.
  var statuses: [Int?] {
    reduce(into: []) { if $0.last != .some($1.status) { $0.append($1.status) } }
  }

  /// Those whose answer was decided after `start` for certain.
  func begun(from start: ContinuousClock.Instant) -> Self { filter { $0.at >= start } }

  /// Those whose answer was decided before `end` for certain.
  func answered(before end: ContinuousClock.Instant) -> Self { filter { $0.answered < end } }

  /// The time within which this share (0…1) of them were answered; zero if there are none.
  func elapsed(_ share: Double) -> Duration {
    let sorted = map(\.elapsed).sorted()
    guard let last = sorted.last else { return .zero }
    let index = Int(Double(sorted.count) * share)
    return index < sorted.count ? sorted[index] : last
  }

}

extension PsqlSession {
  /// The backends of Warmgate's sessions, oldest first.
  func warmgateBackends() async throws -> [Int] {
    try await ask(
      "select pid from pg_stat_activity where application_name like 'warmgate/%' order by backend_start, pid"
    ).split(separator: "\n").compactMap { Int($0) }
  }
}

extension ContinuousClock.Instant {
  /// For a message: how long after `earlier` this is.
  func since(_ earlier: ContinuousClock.Instant) -> Duration { earlier.duration(to: self) }
}
