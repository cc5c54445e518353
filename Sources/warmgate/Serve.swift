import EventLoop
import Glibc
import Health
import PoolCore
import Synchronization

/// Runs the sidecar until it is told to stop, and gives the exit code.
///
/// The main thread waits for signals and for the end, and tells the service manager, if there is one; the pool lives
/// on its loop, HTTP on its own threads. Nothing that can pass makes the process exit: only bad settings do, before
/// anything has started.
func serve(_ settings: ServeSettings, environment: [String: String]) throws(UsageError) -> Int32 {
  guard let signals = ProcessSignals() else {
    throw UsageError("cannot wait for signals: \(String(cString: strerror(errno)))")
  }
  let log = Log(settings)
  var manager = ServiceManager(environment: environment, log: log)
  let instance = InstanceName.make(base: settings.applicationName, environment: environment)
  let end = End()
  let wake = signals.wake
  let sidecar = try Sidecar(
    settings, instance: instance, log: log, transition: manager == nil ? nil : wake,
    finished: {
      end.isReached.store(true, ordering: .releasing)
      wake()
    })
  sidecar.start()
  waitForEnd(
    of: sidecar, signals, end, manager: &manager, drainTimeout: settings.pool.drainTimeout, log: log)
  manager?.stop(within: farewell)
  sidecar.stop()
  log.info("stopped")
  return 0
}

/// Set before the main thread is woken for the last time.
private final class End: Sendable {
  let isReached = Atomic(false)
}

/// When the start is over, whatever became of it.
private let startTakes: Duration = .seconds(10)
/// Answering who still waits, and closing the listeners, takes less.
private let farewell: Duration = .seconds(5)

/// The first signal ends the process after a drain, the second at once.
private func waitForEnd(
  of sidecar: Sidecar, _ signals: ProcessSignals, _ end: End, manager: inout ServiceManager?,
  drainTimeout: Duration, log: Log
) {
  var startEnds: Instant? = EventLoop.now() + startTakes
  var deadline: Instant?
  while true {
    manager?.look(sidecar.observation)
    let next = [deadline, startEnds, manager?.nextLook].compactMap { $0 }.min()
    switch signals.next(until: next, now: EventLoop.now) {
    case .signal(let name) where deadline == nil:
      log.info("\(name): ending")
      // The drain keeps its own deadline. This one is for a loop that is stuck.
      deadline = EventLoop.now() + drainTimeout + .seconds(1)
      manager?.stop(within: drainTimeout + farewell)
      sidecar.terminate()
    case .signal(let name): return log.warn("\(name) again: ending at once")
    case .woken: if end.isReached.load(ordering: .acquiring) { return }
    case .timedOut:
      let now = EventLoop.now()
      if let deadline, deadline <= now { return log.error("the drain did not end in time: ending at once") }
      if let time = startEnds, time <= now {
        startEnds = nil
        if deadline == nil { StartupPages.giveBack() }
      }
    case .blockLoop: sidecar.blockLoop()
    }
  }
}
