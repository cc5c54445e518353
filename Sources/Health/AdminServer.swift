import PoolCore

/// The admin listener: status for operators, and drain, resume and quit.
///
/// Loopback and a Unix socket take POST only. Another address needs a token, and takes `GET /drain` too. If there
/// is a token file, every request needs the token, wherever it comes from.
public final class AdminServer: Sendable {
  /// Where it listens: port 0 is resolved.
  public var address: ListenAddress { daemon.address }
  private let daemon: Daemon

  /// Starts to listen; clients are answered when it returns.
  ///
  /// - Parameters:
  ///   - tokenFile: the file with the token, `--admin-token-file`. Read here once, to refuse a missing or empty one
  ///     at start, and again for every request.
  ///   - observe: called for every answer that needs it, on the listener's thread. It must not block.
  ///   - details: as `observe`, for `/status`.
  ///   - requests: where its requests are counted.
  ///   - probers: those who ask for readiness, for `/status` and for whoever drains.
  ///   - log: called for each drain, resume or quit that is refused, on any thread.
  public convenience init(
    listen: ListenAddress, tokenFile: String?, observe: @escaping @Sendable () -> Observation,
    control: AdminControl, details: @escaping @Sendable () -> AdminDetails,
    requests: RequestCounts = RequestCounts(), probers: Probers? = nil,
    log: @escaping @Sendable (RefusedControl) -> Void
  ) throws(ListenError) {
    try self.init(
      listen: listen, tokenFile: tokenFile, limits: .admin(), observe: observe, control: control,
      details: details, requests: requests, probers: probers, log: log)
  }

  init(
    listen: ListenAddress, tokenFile: String?, limits: ListenLimits,
    observe: @escaping @Sendable () -> Observation,
    control: AdminControl, details: @escaping @Sendable () -> AdminDetails,
    requests: RequestCounts = RequestCounts(), probers: Probers? = nil,
    log: @escaping @Sendable (RefusedControl) -> Void
  ) throws(ListenError) {
    let isPrivate = listen.isLoopback || listen.isUnix
    let token = tokenFile.map(AdminToken.init)
    if let token {
      do throws(AdminToken.Unusable) {
        _ = try token.read()
      } catch {
        throw ListenError(tokenFile: token.path, error)
      }
    } else if !isPrivate {
      throw ListenError(
        "admin-listen",
        "\(listen): needs --admin-token-file, because others can reach it; "
          + "or listen on 127.0.0.1 or a Unix socket")
    }
    daemon = try Daemon(
      setting: "admin-listen", addresses: [listen], name: "warmgate-admin", limits: limits,
      requests: requests,
      handler: AdminRoutes(
        guardian: AdminGuard(token: token), allowsGetDrain: !isPrivate, observe: observe, control: control,
        details: details, probers: probers, log: log))
  }

  deinit { daemon.stop() }

  /// Answers the drains that wait with 503, stops listening, closes every connection and removes the file of a
  /// Unix socket; returns within half a second. A second call does nothing.
  public func stop() { daemon.stop() }
}
