import PoolCore

/// Names one scheduled timer. Never used twice within a loop.
public struct TimerToken: Hashable, Sendable {
  fileprivate let number: UInt64
}

/// Timers by deadline, those of one deadline in the order they were made.
///
/// A binary heap of deadlines beside a table of handlers. Cancelling removes the handler and leaves the deadline in
/// the heap until it comes up or the dead outnumber the living, so both ends of a timer that never fires are cheap.
struct TimerQueue {
  private struct Entry {
    var deadline: Instant
    var number: UInt64

    static func < (a: Entry, b: Entry) -> Bool {
      a.deadline == b.deadline ? a.number < b.number : a.deadline < b.deadline
    }
  }

  private var heap: [Entry] = []
  private var handlers: [UInt64: () -> Void] = [:]
  private var lastNumber: UInt64 = 0

  var count: Int { handlers.count }

  /// How many deadlines are kept, dead ones included: at most twice the living, and 64.
  var heapCount: Int { heap.count }

  mutating func insert(_ deadline: Instant, _ handler: @escaping () -> Void) -> TimerToken {
    lastNumber += 1
    handlers[lastNumber] = handler
    if deadline != .distantFuture {
      heap.append(Entry(deadline: deadline, number: lastNumber))
      siftUp(heap.count - 1)
    }
    return TimerToken(number: lastNumber)
  }

  mutating func cancel(_ token: TimerToken) {
    guard handlers.removeValue(forKey: token.number) != nil else { return }
    if heap.count > 64, heap.count > 2 * handlers.count { removeDead() }
  }

  /// The earliest deadline of a timer that still has a handler.
  var next: Instant? {
    mutating get {
      while let first = heap.first {
        if handlers[first.number] != nil { return first.deadline }
        removeFirst()
      }
      return nil
    }
  }

  /// Takes out the handler of the earliest timer due at `now`, unless it was made after `limit`.
  mutating func takeDue(now: Instant, madeUpTo limit: UInt64) -> (() -> Void)? {
    while let first = heap.first, first.deadline <= now {
      // A handler may schedule for the past: that one waits for the next turn, or they would have us for ever.
      if first.number > limit, handlers[first.number] != nil { return nil }
      removeFirst()
      if let handler = handlers.removeValue(forKey: first.number) { return handler }
    }
    return nil
  }

  /// The number of the timer made last.
  var newest: UInt64 { lastNumber }

  private mutating func removeFirst() {
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    siftDown(0)
  }

  private mutating func removeDead() {
    heap.removeAll { handlers[$0.number] == nil }
    for index in stride(from: heap.count / 2 - 1, through: 0, by: -1) { siftDown(index) }
  }

  private mutating func siftUp(_ start: Int) {
    var index = start
    while index > 0 {
      let parent = (index - 1) / 2
      guard heap[index] < heap[parent] else { return }
      heap.swapAt(index, parent)
      index = parent
    }
  }

  private mutating func siftDown(_ start: Int) {
    var index = start
    while true {
      let left = 2 * index + 1
      guard left < heap.count else { return }
      let right = left + 1
      let child = right < heap.count && heap[right] < heap[left] ? right : left
      guard heap[child] < heap[index] else { return }
      heap.swapAt(index, child)
      index = child
    }
  }
}
