import CLinux

/// What a watch waits for.
public struct Interest: OptionSet, Hashable, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Something to read, or the end of the stream.
  public static let read = Interest(rawValue: 1)
  /// Room to write.
  public static let write = Interest(rawValue: 2)

  var events: UInt32 {
    var events: UInt32 = 0
    if contains(.read) { events |= EPOLLIN.rawValue | EPOLLRDHUP.rawValue }
    if contains(.write) { events |= EPOLLOUT.rawValue }
    return events
  }
}

/// What a descriptor is ready for. After a hang-up or an error, reading and writing do not block: they say why.
public struct Readiness: OptionSet, Hashable, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Reading does not block: there is data, or the end of the stream.
  public static let read = Readiness(rawValue: 1)
  /// Writing does not block.
  public static let write = Readiness(rawValue: 2)
  /// The other side sends no more, or the connection is gone.
  public static let hangUp = Readiness(rawValue: 4)
  /// The descriptor has failed; for a socket, `SO_ERROR` says why.
  public static let error = Readiness(rawValue: 8)

  init(events: UInt32) {
    var readiness: Readiness = []
    if events & EPOLLIN.rawValue != 0 { readiness.insert(.read) }
    if events & EPOLLOUT.rawValue != 0 { readiness.insert(.write) }
    if events & (EPOLLHUP.rawValue | EPOLLRDHUP.rawValue) != 0 { readiness.insert(.hangUp) }
    if events & EPOLLERR.rawValue != 0 { readiness.insert(.error) }
    self = readiness
  }
}

/// A descriptor that a loop watches. It stays watched until `cancel()`, also when nobody holds the watch.
/// On the loop only.
public final class Watch {
  /// The file descriptor. Whoever opened it closes it, after `cancel()`.
  public let descriptor: Int32
  private unowned let loop: EventLoop
  private let id: UInt64
  /// Nil once cancelled.
  @exclusivity(unchecked) private(set) var handler: ((Readiness) -> Void)?

  init(
    loop: EventLoop, id: UInt64, descriptor: Int32, interest: Interest, handler: @escaping (Readiness) -> Void
  ) {
    self.loop = loop
    self.id = id
    self.descriptor = descriptor
    self.interest = interest
    self.handler = handler
  }

  /// What it waits for; setting it to what it is costs nothing.
  @exclusivity(unchecked) public var interest: Interest {
    didSet {
      guard interest != oldValue, handler != nil else { return }
      loop.assertOnLoop()
      loop.epoll.modify(descriptor, interest.events, id: id)
    }
  }

  /// The handler will not run again, not even for an event that has been read already. To be called before the
  /// descriptor is closed. A second call does nothing.
  public func cancel() {
    guard handler != nil else { return }
    loop.assertOnLoop()
    handler = nil
    loop.watches.remove(id)
    loop.epoll.remove(descriptor)
  }

  /// The loop has ended.
  func forget() { handler = nil }
}
