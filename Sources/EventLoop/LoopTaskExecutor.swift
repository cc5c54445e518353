/// Lets tasks prefer a loop: what they do outside of actors is done there.
///
///     Task(executorPreference: LoopTaskExecutor(loop)) { … }
///
/// An executor of its own, because the runtime keeps apart what is isolated to an actor and what is not. Were the loop
/// both, a task would be queued anew wherever it enters or leaves an isolation, though it is on the right thread.
public final class LoopTaskExecutor: TaskExecutor {
  private let loop: EventLoop

  /// An executor on this loop, which it keeps alive.
  public init(_ loop: EventLoop) { self.loop = loop }

  /// Runs a job on the loop, after what is queued already. Any thread.
  public func enqueue(_ job: consuming ExecutorJob) {
    // Its task keeps the executor alive.
    loop.enqueue(.taskJob(UnownedJob(job), asUnownedTaskExecutor()))
  }
}
