import PoolCore

/// The listener for gRPC's health protocol, `grpc.health.v1.Health` with `Check`, `Watch` and `List`: HTTP/2 with prior
/// knowledge, as Kubernetes' gRPC probes and load balancers within a cluster speak it. Read-only, without TLS.
public final class GRPCServer: Sendable {
  /// Where it listens: port 0 is resolved.
  public var address: ListenAddress { listener.address }
  private let listener: StreamListener

  /// Starts to listen; clients are answered when it returns. `observe` is called for every answer, and ten times a
  /// second while somebody watches, on the listener's thread, and must not block. Who checks is noted in `probers`;
  /// whoever watches is told at once and need not be waited for.
  public convenience init(
    listen: ListenAddress, probers: Probers? = nil, observe: @escaping @Sendable () -> Observation
  ) throws(ListenError) {
    try self.init(listen: listen, limits: .grpc(), probers: probers, observe: observe)
  }

  init(
    listen: ListenAddress, limits: ListenLimits, probers: Probers? = nil,
    observe: @escaping @Sendable () -> Observation
  ) throws(ListenError) {
    let board = StatusBoard(observe)
    listener = try StreamListener(setting: "grpc-listen", listen, name: "warmgate-grpc", limits: limits) {
      peer, now in
      GRPCConversation(board, limits: limits, at: now) { userAgent, now in
        probers?.asked(by: peer, .grpc, userAgent: userAgent, board.observation(at: now))
      }
    }
  }

  deinit { listener.stop() }

  /// Tells every client to go (GOAWAY), stops listening and closes every connection; returns within half a second. A
  /// second call does nothing.
  public func stop() { listener.stop() }
}
