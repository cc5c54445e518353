import Glibc
import PoolCore

/// What is said on one connection of a `StreamListener`. Called on the listener's thread: it must not block.
protocol Conversation: AnyObject {
  /// The client has sent something.
  func receive(_ bytes: UnsafeRawBufferPointer, at now: Instant)
  /// What is to be sent next; empty if there is nothing for now.
  func takeOutput() -> [UInt8]
  /// Everything has been said once the output is taken: the connection ends.
  var isOver: Bool { get }
  /// The client does not keep to the protocol, or floods us: the connection is closed at once.
  var isBroken: Bool { get }
  /// When `wake` is to be called; nil if time changes nothing.
  var wakeAt: Instant? { get }
  func wake(at now: Instant)
  /// The listener wants the connection's place, or stops: a last word, if the dialect has one.
  func end()
}

extension Conversation {
  var isBroken: Bool { false }
  var wakeAt: Instant? { nil }
  func wake(at now: Instant) {}
}
