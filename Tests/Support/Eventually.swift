/// Asks `condition` again and again until it holds; false when `within` has passed without it.
///
/// For use inside `#expect`: `#expect(await eventually(within: .seconds(5)) { await pg.sessions() == 2 })`.
/// An error of the condition counts as "not yet".
public func eventually(
  within limit: Duration = .seconds(30), every pause: Duration = .milliseconds(20),
  _ condition: () async throws -> Bool
) async -> Bool {
  let deadline = ContinuousClock.now + limit
  while true {
    if (try? await condition()) == true { return true }
    if ContinuousClock.now >= deadline || Task.isCancelled { return false }
    try? await Task.sleep(for: pause)
  }
}

/// The form for a thread that may block, such as in a fixture's clean-up.
func eventuallyBlocking(
  within limit: Duration, every pause: Duration = .milliseconds(5), _ condition: () -> Bool
) -> Bool {
  let deadline = ContinuousClock.now + limit
  while true {
    if condition() { return true }
    if ContinuousClock.now >= deadline { return false }
    sleepBlocking(pause)
  }
}
