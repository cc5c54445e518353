import PoolCore

/// Everything that is still to happen in the fleet, the next first: a binary heap. What falls on one moment happens in
/// the order in which it was added, so that a run can be repeated to the byte.
struct Agenda {
  struct Entry {
    var at: Instant
    fileprivate var order: UInt64
    var item: Item

    fileprivate func precedes(_ other: Entry) -> Bool {
      at.nanoseconds != other.at.nanoseconds ? at.nanoseconds < other.at.nanoseconds : order < other.order
    }
  }

  /// `seat`: the instance's place in the fleet. `id`: of its connection.
  enum Item {
    /// The instance may run.
    case begin(seat: Int32)
    /// The instance wants to be told the time.
    case wake(seat: Int32)
    /// A worker of the server is done, if the ticket is still good.
    case worked(ticket: UInt32)
    /// The answer to a login that needs no work: one made before the story begins.
    case admitted(seat: Int32, id: UInt32)
    /// The answer to a login that the server turned away.
    case refused(seat: Int32, id: UInt32, why: Refusal)
    /// The client of a login has waited long enough.
    case loginDeadline(seat: Int32, id: UInt32)
    /// The answer to the probe query.
    case probeAnswer(seat: Int32, id: UInt32)
    /// The answer to the question how much room there is, as there is then.
    case roomAnswer(seat: Int32, id: UInt32)
    /// The answer to the empty query.
    case verifyAnswer(seat: Int32, id: UInt32)
    /// Nothing is asked on this connection any more.
    case finished(seat: Int32, id: UInt32)
    /// Callers have waited long enough on connections that are cut off.
    case callersGiveUp(seat: Int32)
    /// The part of the scenario at this index begins.
    case happening(Int32)
    /// It ends.
    case happeningEnds(Int32)
    /// Something listens again, and says that it is starting; if it is the same start.
    case serverStarts(run: UInt32)
    /// It accepts logins from now on.
    case serverStarted(run: UInt32)
  }

  private var heap: [Entry] = []
  private var orders: UInt64 = 0

  var count: Int { heap.count }
  var next: Instant? { heap.first?.at }

  mutating func add(_ item: Item, at time: Instant) {
    orders += 1
    let entry = Entry(at: time, order: orders, item: item)
    heap.append(entry)
    var hole = heap.count - 1
    while hole > 0 {
      let parent = (hole - 1) / 2
      guard entry.precedes(heap[parent]) else { break }
      heap[hole] = heap[parent]
      hole = parent
    }
    heap[hole] = entry
  }

  mutating func takeNext() -> Entry? {
    guard let first = heap.first, let last = heap.popLast() else { return nil }
    let count = heap.count
    guard count > 0 else { return first }
    var hole = 0
    while true {
      var child = 2 * hole + 1
      guard child < count else { break }
      if child + 1 < count, heap[child + 1].precedes(heap[child]) { child += 1 }
      guard heap[child].precedes(last) else { break }
      heap[hole] = heap[child]
      hole = child
    }
    heap[hole] = last
    return first
  }
}
