import Synchronization

/// Counts login attempts that were given up while their thread was stuck in a call that cannot be interrupted.
final class AbandonedAttempts: Sendable {
  /// Each costs a thread, and what hung them (a resolver) would hang the next one too.
  static let limit = 4

  private let number = Atomic<Int>(0)

  var count: Int { number.load(ordering: .relaxed) }
  var isFull: Bool { count >= Self.limit }

  func add() { number.add(1, ordering: .relaxed) }
  func remove() { number.subtract(1, ordering: .relaxed) }
}
