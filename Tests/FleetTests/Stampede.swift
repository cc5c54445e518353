import CLibpq
import Foundation
import Support
import Synchronization

/// Clients without manners: each of many connections is opened at once, and tried again every 100 ms whenever it fails
/// or is lost. What a fleet of naive pools does.
final class Stampede: Sendable {
  private struct State {
    var isOver = false
    var open = 0
    var running = 0
  }

  private let state = Mutex(State())

  init(_ count: Int, url: String) {
    state.withLock { $0.running = count }
    for _ in 0..<count { Thread.detachNewThread { self.keepOne(url) } }
  }

  var open: Int { state.withLock { $0.open } }

  func becomeOpen(_ count: Int, within limit: Duration) async -> Bool {
    await eventually(within: limit, every: .milliseconds(50)) { open >= count }
  }

  /// Ends all of them; returns when they have ended.
  func close() async {
    state.withLock { $0.isOver = true }
    _ = await eventually(within: .seconds(30)) { state.withLock { $0.running == 0 } }
  }

  private var isOver: Bool { state.withLock { $0.isOver } }

  private func keepOne(_ url: String) {
    while !isOver {
      let connection = PQconnectdb(url)
      if PQstatus(connection) == CONNECTION_OK {
        state.withLock { $0.open += 1 }
        while !isOver {
          let result = PQexec(connection, "")
          PQclear(result)
          guard PQstatus(connection) == CONNECTION_OK else { break }
          usleep(100_000)
        }
        state.withLock { $0.open -= 1 }
      }
      PQfinish(connection)
      usleep(100_000)
    }
    state.withLock { $0.running -= 1 }
  }
}
