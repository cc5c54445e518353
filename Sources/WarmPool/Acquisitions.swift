import PoolCore

/// The callers that wait for the core's answer.
///
/// In the order of their leases, which is that in which they came and mostly that in which they are answered: so the one
/// that is looked for is nearly always the first, and nothing is hashed.
struct Acquisitions {
  /// From `head` on.
  private var waiting: [(lease: LeaseID, caller: Acquisition?)] = []
  private var head = 0

  var isEmpty: Bool { head == waiting.count }

  mutating func add(_ lease: LeaseID, _ caller: Acquisition) {
    guard let last = waiting.last, last.lease >= lease else { return waiting.append((lease, caller)) }
    // One that comes back for another connection has had its lease for a while.
    waiting.insert((lease, caller), at: place(of: lease))
  }

  subscript(lease: LeaseID) -> Acquisition? {
    let place = place(of: lease)
    return place < waiting.count && waiting[place].lease == lease ? waiting[place].caller : nil
  }

  /// Nil if it does not wait.
  mutating func remove(_ lease: LeaseID) -> Acquisition? {
    let place = place(of: lease)
    guard place < waiting.count, waiting[place].lease == lease else { return nil }
    guard place == head else { return waiting.remove(at: place).caller }
    return removeFirst()?.caller
  }

  /// The one that came first.
  mutating func removeFirst() -> (lease: LeaseID, caller: Acquisition)? {
    guard head < waiting.count, let caller = waiting[head].caller.take() else { return nil }
    let lease = waiting[head].lease
    head += 1
    if head == waiting.count || head >= 1024 && 2 * head >= waiting.count {
      waiting.removeFirst(head)
      head = 0
    }
    return (lease, caller)
  }

  /// Where it is, or would be.
  private func place(of lease: LeaseID) -> Int {
    if head < waiting.count, waiting[head].lease == lease { return head }
    var (low, high) = (head, waiting.count)
    while low < high {
      let middle = (low + high) / 2
      if waiting[middle].lease < lease { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
