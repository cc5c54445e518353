import EventLoop
import Glibc
import Health
import PoolCore

/// Runs the sidecar until it is told to stop, and gives the exit code.
///
/// The main thread waits for signals and for the end, and does nothing else; the pool lives on its loop, HTTP on its
/// own threads. Nothing that can pass makes the process exit: only bad settings do, before anything has started.
func serve(_ settings: ServeSettings, environment: [String: String]) throws(UsageError) -> Int32 {
  guard let signals = ProcessSignals() else {
    throw UsageError("cannot wait for signals: \(String(cString: strerror(errno)))")
  }
  let log = Log(settings)
  let instance = InstanceName.make(base: settings.applicationName, environment: environment)
  let sidecar = try Sidecar(settings, instance: instance, log: log, finished: signals.wake)
  sidecar.start()
  waitForEnd(of: sidecar, signals, drainTimeout: settings.pool.drainTimeout, log: log)
  sidecar.stop()
  log.info("stopped")
  return 0
}

/// When the start is over, whatever became of it.
private let startTakes: Duration = .seconds(10)

/// The first signal ends the process after a drain, the second at once.
private func waitForEnd(
  of sidecar: Sidecar, _ signals: ProcessSignals, drainTimeout: Duration, log: Log
) {
  var startEnds: Instant? = EventLoop.now() + startTakes
  var deadline: Instant?
  while true {
    switch signals.next(until: deadline ?? startEnds, now: EventLoop.now) {
    case .signal(let name) where deadline == nil:
      log.info("\(name): ending")
      // The drain keeps its own deadline. This one is for a loop that is stuck.
      deadline = EventLoop.now() + drainTimeout + .seconds(1)
      sidecar.terminate()
    case .signal(let name): return log.warn("\(name) again: ending at once")
    case .woken: return
    case .timedOut where deadline == nil:
      startEnds = nil
      StartupPages.giveBack()
    case .timedOut: return log.error("the drain did not end in time: ending at once")
    case .blockLoop: sidecar.blockLoop()
    }
  }
}
