import PoolCore

/// What the fleet looked like over time, from the beginning of the story in steps of 100 ms.
public struct Series: Hashable, Sendable {
  /// The length of a step.
  public static let step: Duration = .milliseconds(100)

  /// Logins that arrived at the server during each step, taken or not.
  public internal(set) var logins: [Int] = []
  /// The fleet's sessions at the end of each step.
  public internal(set) var sessions: [Int] = []
  /// Instances that said they were ready at the end of each step.
  public internal(set) var ready: [Int] = []
}
