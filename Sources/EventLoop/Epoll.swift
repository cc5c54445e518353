import CLinux
import Glibc

/// The epoll set of a loop. Descriptors are known by identifiers that are never used twice.
final class Epoll {
  static let inboxID: UInt64 = 0
  static let alarmID: UInt64 = 1

  private let set: Int32
  private let batch: UnsafeMutableBufferPointer<epoll_event>

  init() throws(SystemError) {
    set = epoll_create1(Int32(EPOLL_CLOEXEC))
    if set < 0 { throw SystemError("epoll_create1", errno) }
    batch = .allocate(capacity: 128)
  }

  deinit {
    close(set)
    batch.deallocate()
  }

  func add(_ descriptor: Int32, _ events: UInt32, id: UInt64) throws(SystemError) {
    var event = epoll_event(events: events, data: epoll_data_t(u64: id))
    if epoll_ctl(set, EPOLL_CTL_ADD, descriptor, &event) != 0 { throw SystemError("epoll_ctl", errno) }
  }

  /// Fails only for a descriptor that its owner has closed behind our back: then there is nothing left to watch.
  func modify(_ descriptor: Int32, _ events: UInt32, id: UInt64) {
    var event = epoll_event(events: events, data: epoll_data_t(u64: id))
    _ = epoll_ctl(set, EPOLL_CTL_MOD, descriptor, &event)
  }

  /// As for `modify`. Should the number have been opened again meanwhile, it is not in the set: only the loop adds.
  func remove(_ descriptor: Int32) {
    var event = epoll_event()
    _ = epoll_ctl(set, EPOLL_CTL_DEL, descriptor, &event)
  }

  /// Hands over one batch of events: what is there, or, if it may block, what comes next.
  func wait(block: Bool, _ body: (_ id: UInt64, _ events: UInt32) -> Void) {
    // A signal handler of the program may interrupt: that is an empty batch.
    let count = Int(epoll_wait(set, batch.baseAddress, Int32(batch.count), block ? -1 : 0))
    guard count > 0 else { return }
    for event in batch[..<count] { body(event.data.u64, event.events) }
  }
}
