import CLinux
import Glibc
import PoolCore
import Synchronization

/// One thread with one epoll set and one timer queue, and an executor that actors and tasks can live on.
///
/// What runs on it never runs at the same time as anything else on it, so actors that share a loop need no locks
/// between them and may call each other with `assumeIsolated`. Nothing on it may block.
///
///     actor Counter {
///       let loop: EventLoop
///       nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
///     }
///
/// A turn is: wait for events, call the handlers of ready descriptors, then of due timers, then `onTurnEnd`. Jobs and
/// posted work run after each descriptor's handler, so that what follows from one answer is not held up by the others,
/// and after the timers: at most `jobsPerTurn`, the rest in the next turn, so that neither side starves the other. A
/// loop with nothing to do makes no wake-ups of its own.
public final class EventLoop: SerialExecutor, @unchecked Sendable {
  // Why `@unchecked Sendable` holds: `inbox`, `thread` and `pthread` carry their own synchronization, `name`,
  // `epoll` and `alarm` never change; everything else is touched by the loop's thread alone (asserted by
  // `assertOnLoop`), or by `init` and `deinit`, when nobody else has the object.

  /// How many jobs one turn runs before descriptors and timers have their say again.
  public static let jobsPerTurn = 256

  /// The thread's name, as `top -H` shows it, cut at 15 bytes there.
  public let name: String

  /// Called at the end of every turn, on the loop: the place to publish what the turn has changed. Set it on the
  /// loop, or before `start()`.
  public var onTurnEnd: (() -> Void)? {
    get { turnEnd }
    set {
      assert(isCurrent || !isRunning, "onTurnEnd is set on the loop, or before it starts")
      turnEnd = newValue
    }
  }

  let epoll: Epoll
  let inbox: Inbox
  let alarm: Alarm
  // Not checked for overlapping accesses at run time, which costs more than most of them: one thread has them, and none
  // is held while something else is called.
  @exclusivity(unchecked) var timers = TimerQueue()
  @exclusivity(unchecked) var watches = WatchTable()
  /// Counts the turns: within one, the world outside is taken as it was at its begin. On the loop only.
  @exclusivity(unchecked) public private(set) var turn: UInt64 = 0
  @exclusivity(unchecked) private var jobsLeft = EventLoop.jobsPerTurn
  @exclusivity(unchecked) private var backlog = Backlog()
  @exclusivity(unchecked) private var turnEnd: (() -> Void)?
  /// The thread that runs the loop, 0 when none does.
  private let thread = Atomic<UInt>(0)
  /// What `join()` waits for; nil before `start()` and after `join()`.
  private let pthread = Mutex<pthread_t?>(nil)

  /// Opens the descriptors; throws when the process has none left. `name` is the thread's, cut at 15 bytes.
  public init(name: String) throws(SystemError) {
    self.name = name
    epoll = try Epoll()
    inbox = try Inbox()
    alarm = try Alarm()
    try epoll.add(inbox.descriptor, EPOLLIN.rawValue | EPOLLET.rawValue, id: Epoll.inboxID)
    try epoll.add(alarm.descriptor, EPOLLIN.rawValue | EPOLLET.rawValue, id: Epoll.alarmID)
  }

  deinit {
    // Nobody has waited for its end, and nobody can any more: the system may forget it by itself.
    pthread.withLock { if let thread = $0 { _ = pthread_detach(thread) } }
  }

  /// Starts the loop's thread, which keeps the loop alive until it ends. The thread inherits the caller's signal
  /// mask. Call it once.
  public func start() throws(SystemError) {
    let loop = Unmanaged.passRetained(self)
    let code = pthread.withLock { pthread -> Int32 in
      precondition(pthread == nil, "an event loop is started once")
      var created = pthread_t()
      let code = pthread_create(&created, nil, runEventLoop, loop.toOpaque())
      if code == 0 { pthread = created }
      return code
    }
    guard code == 0 else {
      loop.release()
      throw SystemError("pthread_create", code)
    }
  }

  /// Ends the loop's thread after the current turn. What is queued then, or enqueued later, never runs. Any thread.
  public func stop() { inbox.stop() }

  /// Waits until the thread has ended. Not on the loop; a second call, and one before `start()`, return at once.
  public func join() {
    precondition(!isCurrent, "the loop cannot wait for its own end")
    let ended = pthread.withLock { pthread in
      defer { pthread = nil }
      return pthread
    }
    if let ended { pthread_join(ended, nil) }
  }

  /// The time of `CLOCK_BOOTTIME`, on which all deadlines of a loop are. Any thread.
  public static func now() -> Instant {
    var time = timespec()
    clock_gettime(CLOCK_BOOTTIME, &time)
    return Instant(nanoseconds: Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec))
  }

  /// Whether the caller runs on the loop's thread.
  public var isCurrent: Bool { thread.load(ordering: .relaxed) == UInt(pthread_self()) }

  var isRunning: Bool { thread.load(ordering: .relaxed) != 0 }

  /// Runs `work` on the loop, after what was posted before it from the same thread. Any thread.
  public func post(_ work: @escaping @Sendable () -> Void) { enqueue(.closure(work)) }

  /// Runs `handler` on the loop at `deadline`, in the order of deadlines, in the next turn if it has passed, and
  /// never at `Instant.distantFuture`. On the loop only.
  @discardableResult
  public func schedule(at deadline: Instant, _ handler: @escaping () -> Void) -> TimerToken {
    assertOnLoop()
    return timers.insert(deadline, handler)
  }

  /// The timer's handler will not run. A token that has fired or was cancelled before is ignored. On the loop only.
  public func cancel(_ timer: TimerToken) {
    assertOnLoop()
    timers.cancel(timer)
  }

  /// Calls `handler` on the loop in every turn in which `descriptor` is ready for what `interest` names
  /// (level-triggered), until the watch is cancelled. Errors and hang-ups are reported whatever the interest.
  ///
  /// Cancel the watch before closing the descriptor. Throws when the system cannot watch it (a regular file, one
  /// that is watched already, no memory). On the loop only.
  public func watch(
    _ descriptor: Int32, _ interest: Interest = .read, _ handler: @escaping (Readiness) -> Void
  ) throws(SystemError) -> Watch {
    assertOnLoop()
    let id = watches.reserve()
    do throws(SystemError) { try epoll.add(descriptor, interest.events, id: id) } catch {
      watches.remove(id)
      throw error
    }
    let watch = Watch(loop: self, id: id, descriptor: descriptor, interest: interest, handler: handler)
    watches[id] = watch
    return watch
  }
}

// MARK: - Executor

extension EventLoop {
  /// Runs a job on the loop, after what is queued already. Any thread.
  public func enqueue(_ job: consuming ExecutorJob) { enqueue(.job(UnownedJob(job))) }

  public func checkIsolated() {
    precondition(isCurrent, "expected to run on the event loop \(name)")
  }

  public func isIsolatingCurrentContext() -> Bool? { isCurrent }

  public func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

  func enqueue(_ work: Work) {
    if isCurrent { backlog.append(work) } else { inbox.put(work) }
  }

  func run(_ work: Work) {
    switch work {
    case .closure(let closure): closure()
    case .job(let job): job.runSynchronously(on: asUnownedSerialExecutor())
    case .taskJob(let job, let executor): job.runSynchronously(on: executor)
    }
  }

  func assertOnLoop() { assert(isCurrent, "only on the event loop's own thread") }
}

// MARK: - The thread

extension EventLoop {
  /// The body of the thread.
  fileprivate func runTurns() {
    thread.store(UInt(pthread_self()), ordering: .relaxed)
    clinux_name_thread(name)
    while inbox.take(into: &backlog) {
      runJobs()
      turnEnd?()
      turn &+= 1
      jobsLeft = Self.jobsPerTurn
      wait()
    }
    // The descriptors stay open until deinit, the watched ones are their owners'. Handlers are let go here, where
    // what they capture expects to be released.
    for watch in watches.all { watch.forget() }
    watches = WatchTable()
    timers = TimerQueue()
    turnEnd = nil
    thread.store(0, ordering: .relaxed)
  }

  private func runJobs() {
    while jobsLeft > 0, let work = backlog.removeFirst() {
      run(work)
      jobsLeft -= 1
    }
  }

  /// Waits for the next event, timer or foreign work, then calls the handlers that are due.
  private func wait() {
    var mayBlock = backlog.isEmpty
    if mayBlock, let next = timers.next {
      if next <= Self.now() { mayBlock = false } else { alarm.ring(at: next) }
    }
    // From here on, work from another thread wakes us: it was either seen by `announceSleep` or sees it.
    if mayBlock { mayBlock = inbox.announceSleep() }
    epoll.wait(block: mayBlock) { id, events in
      switch id {
      case Epoll.inboxID: break  // Edge-triggered: waking was all it had to do.
      case Epoll.alarmID: alarm.hasRung()
      default:
        // Looked up now, not when the batch was made: a handler earlier in the batch may have cancelled it, and
        // identifiers are never used twice, so a reused descriptor is not mistaken for the old one.
        if let watch = watches[id] { watch.handler?(Readiness(events: events)) }
        runJobs()
      }
    }
    if timers.next != nil {
      let (now, newest) = (Self.now(), timers.newest)
      while let handler = timers.takeDue(now: now, madeUpTo: newest) { handler() }
    }
  }
}

/// Named and free of isolation: it runs on a thread that Swift did not make.
private func runEventLoop(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  guard let argument else { return nil }
  Unmanaged<EventLoop>.fromOpaque(argument).takeRetainedValue().runTurns()
  return nil
}
