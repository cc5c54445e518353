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

  let wish: Wish
  let deadline: Instant
  let site: AcquisitionSite
  /// What the core knows it by; nil before it was asked.
  fileprivate(set) var lease: LeaseID?
  /// Nil once it was resumed.
  fileprivate var continuation: UnsafeContinuation<Grant, any Error>?
  fileprivate var isAbandoned = false
  /// As `Connection.Asks.answered`.
  fileprivate let isAnswered = Atomic<Bool>(false)

  init(_ wish: Wish, by deadline: Instant, at site: AcquisitionSite) {
    self.wish = wish
    self.deadline = deadline
    self.site = site
  }

  /// Each is the end of it: what comes later is ignored.
  func grant(_ pooled: PooledConnection) {
    guard let lease else { return }
    isAnswered.store(true, ordering: .releasing)
    continuation.take()?.resume(returning: (lease, pooled))
  }

  func refuse(_ error: any Error) {
    isAnswered.store(true, ordering: .releasing)
    continuation.take()?.resume(throwing: error)
  }
}

extension WarmPool {
  /// Waits until the core has answered with a connection.
  ///
  /// The caller's task goes to the loop by one post and comes back with the answer. As a call of this actor it would
  /// go there and back twice, and on the loop itself be queued for each of these ways. `isolation` is named so that the
  /// wait stays on the caller's actor: the handler's closure would otherwise leave it, over a third thread.
  func granted(
    _ caller: Acquisition, isolation: isolated (any Actor)? = #isolation
  ) async throws -> Acquisition.Grant {
    defer { _ = caller.isAnswered.load(ordering: .acquiring) }
    return try await withTaskCancellationHandler {
      _ = isolation
      return try await withUnsafeThrowingContinuation { continuation in
        if loop.isCurrent {
          synchronously.ask(for: caller, continuation)
        } else {
          loop.post { self.synchronously.ask(for: caller, continuation) }
        }
      }
    } onCancel: {
      // On the loop after this turn, and perhaps before the caller has been heard there.
      loop.post { self.assumeIsolated { $0.abandon(caller) } }
    }
  }

  func ask(for caller: Acquisition, _ continuation: UnsafeContinuation<Acquisition.Grant, any Error>) {
    caller.continuation = continuation
    if caller.isAbandoned { return caller.refuse(CancellationError()) }
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
    handle(event)
  }

  private func abandon(_ caller: Acquisition) {
    caller.isAbandoned = true
    guard let lease = caller.lease, acquiring.remove(lease) != nil else { return }
    handle(.abandon(lease))
    caller.refuse(CancellationError())
  }
}
