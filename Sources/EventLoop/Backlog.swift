/// What a loop still has to run, in order.
struct Backlog {
  private var work: [Work] = []
  private var next = 0

  var isEmpty: Bool { next == work.count }

  mutating func append(_ work: Work) { self.work.append(work) }

  /// Takes everything from `other`, and leaves it empty.
  mutating func append(contentsOf other: inout [Work]) {
    if other.isEmpty { return }
    if isEmpty {
      // Swapped, so that both keep the memory they have grown to.
      work.removeAll(keepingCapacity: true)
      next = 0
      swap(&work, &other)
    } else {
      work += other
      other.removeAll(keepingCapacity: true)
    }
  }

  mutating func removeFirst() -> Work? {
    guard next < work.count else { return nil }
    // Nearly always it is alone.
    if work.count == 1 { return work.removeLast() }
    let first = work[next]
    next += 1
    if next == work.count {
      work.removeAll(keepingCapacity: true)
      next = 0
    } else if next >= 1024 {
      // Only a backlog that never empties comes here: give back what has been run.
      work.removeFirst(next)
      next = 0
    }
    return first
  }
}
