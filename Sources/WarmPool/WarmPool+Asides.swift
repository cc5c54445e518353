import EventLoop
import Postgres

/// Questions besides the probe's, on the probe's own connection: between two probes, one at a time. No verdict waits for
/// them.
extension WarmPool {
  /// What has not been answered by then is cancelled at the server, so that the next probe finds the connection free: it
  /// follows after 250 ms at the earliest.
  static let asidePatience: Duration = .milliseconds(200)

  /// One may still be under way on a connection that is wanted for something else: it takes one statement at a time. The
  /// wait counts as time of the one who waits.
  func asideAnswered(on connection: Connection) async {
    if let aside, aside.connection === connection { await aside.task.value }
  }

  /// Runs `question` on the connection, after the one that is under way there.
  func askAside(on connection: Connection, _ question: @escaping @Sendable (isolated WarmPool) async -> Void)
  {
    let before = aside
    let number = (before?.number ?? 0) &+ 1
    let task = onLoop { pool in
      await before?.task.value
      let timer = pool.loop.schedule(at: EventLoop.now() + Self.asidePatience) {
        connection.assumeIsolated { $0.requestCancel() }
      }
      await question(pool)
      pool.loop.cancel(timer)
      if pool.aside?.number == number { pool.aside = nil }
    }
    aside = (number, connection, task)
  }
}
