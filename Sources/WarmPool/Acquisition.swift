import EventLoop
import PoolCore
import Postgres
import Synchronization

/// A caller that waits for a connection.
///
/// `@unchecked Sendable`: what changes is touched on the loop alone.
final class Acquisition: @unchecked Sendable {
  enum Wish {
    /// A connection for a new lease.
    case lease
    /// Another one for a lease whose own is dead.
    case exchange(LeaseID, ConnectionID, Fault)
  }

  typealias Grant = (id: LeaseID, pooled: PooledConnection)

  /// How it ends for a caller with a statement.
  enum Outcome {
    /// Answered, and the connection given back.
    case answered(QueryResult)
    /// Answered, and the connection is the caller's to give back.
    case asked(Grant, Result<QueryResult, QueryError>)
    /// Not executed: the caller has the connection, as anybody else.
    case granted(Grant)
  }

  /// Who waits.
  enum Waiting {
    case forConnection(UnsafeContinuation<Grant, any Error>)
    case forAnswer(UnsafeContinuation<Outcome, any Error>)
  }

  let wish: Wish
  /// From when it is heard on the loop.
  let patience: Duration
  fileprivate(set) var deadline: Instant = .distantFuture
  let site: AcquisitionSite
  /// Asked on the loop as soon as there is a connection, and then forgotten here. Nil for a caller that wants the
  /// connection itself.
  private var statement: Statement?
  /// What the core knows it by; nil before it was asked.
  fileprivate(set) var lease: LeaseID?
  /// Nil once it was resumed.
  fileprivate var waiting: Waiting?
  fileprivate var isAbandoned = false
  /// As `Connection.hasAnswered`.
  fileprivate let isAnswered = Atomic<Bool>(false)

  init(_ wish: Wish, within patience: Duration, at site: AcquisitionSite, asking statement: Statement? = nil)
  {
    self.wish = wish
    self.patience = patience
    self.site = site
    self.statement = statement
  }

  var hasStatement: Bool { statement != nil }

  func takeStatement() -> Statement? { statement.take() }

  /// Each is the end of it: what comes later is ignored.
  func grant(_ pooled: PooledConnection) {
    guard let lease else { return }
    isAnswered.store(true, ordering: .releasing)
    switch waiting.take() {
    case .forConnection(let continuation)?: continuation.resume(returning: (lease, pooled))
    case .forAnswer(let continuation)?: continuation.resume(returning: .granted((lease, pooled)))
    case nil: break
    }
  }

  func end(with outcome: Outcome) {
    isAnswered.store(true, ordering: .releasing)
    if case .forAnswer(let continuation)? = waiting.take() { continuation.resume(returning: outcome) }
  }

  func refuse(_ error: any Error) {
    isAnswered.store(true, ordering: .releasing)
    switch waiting.take() {
    case .forConnection(let continuation)?: continuation.resume(throwing: error)
    case .forAnswer(let continuation)?: continuation.resume(throwing: error)
    case nil: break
    }
  }
}

extension WarmPool {
  /// Waits until the core has answered with a connection. `isolation` is named so that the wait stays on the caller's
  /// actor: the handler's closure would otherwise leave it, over a third thread.
  func granted(
    _ caller: Acquisition, isolation: isolated (any Actor)? = #isolation
  ) async throws -> Acquisition.Grant {
    try await withTaskCancellationHandler {
      _ = isolation
      return try await response(to: caller, Acquisition.Waiting.forConnection)
    } onCancel: {
      cancelled(caller)
    }
  }

  /// Waits for what `kind` says, for a caller that has a cancellation handler.
  ///
  /// The caller's task goes to the loop by one post and comes back with the answer. As a call of this actor it would
  /// go there and back twice, and on the loop itself be queued for each of these ways.
  @inline(__always)
  func response<Awaited>(
    to caller: Acquisition, _ kind: (UnsafeContinuation<Awaited, any Error>) -> Acquisition.Waiting,
    isolation: isolated (any Actor)? = #isolation
  ) async throws -> Awaited {
    defer { _ = caller.isAnswered.load(ordering: .acquiring) }
    return try await withUnsafeThrowingContinuation { continuation in
      let waiting = kind(continuation)
      if loop.isCurrent { return synchronously.ask(for: caller, waiting) }
      loop.post { self.synchronously.ask(for: caller, waiting) }
    }
  }

  /// The caller's task is cancelled, before it has been heard perhaps, or while it holds the connection. Any thread.
  nonisolated func cancelled(_ caller: Acquisition) {
    // On the loop after this turn.
    loop.post { self.assumeIsolated { $0.abandon(caller) } }
  }

  func ask(for caller: Acquisition, _ waiting: Acquisition.Waiting) {
    caller.waiting = waiting
    if caller.isAbandoned { return caller.refuse(CancellationError()) }
    let now = EventLoop.now()
    caller.deadline = now + caller.patience
    let event: Event
    switch caller.wish {
    case .lease:
      guard standby == nil || core.isTrusted else { return caller.refuse(PoolInDoubt()) }
      lastLease += 1
      let lease = LeaseID(lastLease)
      caller.lease = lease
      event = .acquire(lease, deadline: caller.deadline)
    case .exchange(let lease, let id, let fault):
      caller.lease = lease
      event = .exchange(lease, id, fault, deadline: caller.deadline)
    }
    if let lease = caller.lease { acquiring.add(lease, caller) }
    handle(event, at: now)
  }

  private func abandon(_ caller: Acquisition) {
    caller.isAbandoned = true
    guard let lease = caller.lease else { return }
    // Of one that holds its connection, it is the wait for another one.
    guard let waiting = acquiring.remove(lease) else { return stopAsking(for: lease) }
    handle(.abandon(lease))
    waiting.refuse(CancellationError())
  }

  /// The task that holds this lease is cancelled.
  func stopAsking(for lease: LeaseID) {
    let pooled = connections.values.first { $0.acquired?.lease == lease }
    pooled?.connection.assumeIsolated { $0.stopAsking(for: lease.number) }
  }
}
