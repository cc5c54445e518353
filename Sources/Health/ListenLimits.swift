import Glibc

/// What a listener allows its clients. The defaults are for a process that mostly does something else.
struct ListenLimits: Sendable {
  /// From the acceptance of a connection (or the first bytes of a further request on it) until the whole request
  /// is here. The library's own timeout starts again with every byte.
  static let defaultArrival: Duration = .seconds(5)
  /// How long a connection may rest between requests. Health checkers that reuse a connection ask every 5 to 60 s.
  static let defaultRest: Duration = .seconds(75)
  /// From the answer until the client has read it.
  static let defaultDelivery: Duration = .seconds(10)
  /// Requests that may wait for an answer at the same moment: drains.
  static let waiting = 64

  /// Connections held before the ones that have been silent longest are closed in favour of new ones.
  var connections: Int
  /// Bytes the library may use for one connection: the head of the request (twice for cookies, which it takes
  /// apart) and that of the answer. A connection that is kept touches all of it, and the library clears it after every
  /// request: enough for heads of 8 KiB, or half as much in cookies, and no more.
  var connectionMemory = 10 * 1024
  var arrival = ListenLimits.defaultArrival
  var rest = ListenLimits.defaultRest
  var delivery = ListenLimits.defaultDelivery

  init(connections: Int) { self.connections = connections }

  /// How far `connections` may be exceeded until the closed ones are gone.
  var slack: Int { 64 + connections / 8 }

  /// Half of the files that the process may open, because the pool needs some too, and at most 1024: 10 MiB if
  /// every one of them fills its memory. Health checkers ask and go, or are few.
  static func health() -> ListenLimits {
    ListenLimits(connections: min(max(openFiles / 2, 32), 1024))
  }

  /// A few people and hooks; a browser sends all cookies of `localhost`.
  static func admin() -> ListenLimits {
    var limits = ListenLimits(connections: min(max(openFiles / 16, 16), 128))
    limits.connectionMemory = 32 * 1024
    return limits
  }

  /// Every load balancer asks every few seconds, and has its answer before it has asked. Whoever comes beyond these is
  /// answered too, and the one who has been silent longest is closed.
  static func agent() -> ListenLimits { ListenLimits(connections: min(max(openFiles / 16, 16), 256)) }

  /// Fewer than for HTTP, because each may have a hundred calls open.
  static func grpc() -> ListenLimits { ListenLimits(connections: min(max(openFiles / 16, 16), 128)) }

  private static var openFiles: Int {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
    return Int(clamping: limit.rlim_cur)
  }
}
