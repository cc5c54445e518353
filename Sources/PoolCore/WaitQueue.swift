/// Callers that wait for a connection: first come, first served, each with its own deadline.
///
/// Adding, taking the next and cancelling cost the same however many wait: a caller that gives up leaves a gap in
/// the order, which is skipped when its turn comes. Deadlines lie in a heap beside it, cleaned the same way.
struct WaitQueue: Sendable {
  private struct Waiter: Sendable {
    var id: LeaseID
    var since: Instant
    var deadline: Instant
    var isGone = false
  }

  /// From `head` on by their identifiers, which count up: so a search by halves finds one.
  private var order: [Waiter] = []
  private var head = 0
  private var deadlines: [(at: Instant, id: LeaseID)] = []
  private(set) var count = 0

  var isEmpty: Bool { count == 0 }

  /// What it keeps in memory, gaps included.
  var footprint: Int { order.count + deadlines.count }

  /// Behind all others: `id` is the greatest so far.
  mutating func add(_ id: LeaseID, deadline: Instant, at now: Instant) {
    order.append(Waiter(id: id, since: now, deadline: deadline))
    count += 1
    push((deadline, id))
  }

  /// One that has had its turn already, and so came before all others but those of its kind.
  mutating func addAgain(_ id: LeaseID, deadline: Instant, at now: Instant) {
    let waiter = Waiter(id: id, since: now, deadline: deadline)
    let place = place(of: id)
    if place == head, head > 0 {
      head -= 1
      order[head] = waiter
    } else {
      order.insert(waiter, at: place)
    }
    count += 1
    push((deadline, id))
  }

  /// True if it waited.
  mutating func cancel(_ id: LeaseID) -> Bool { take(id) != nil }

  /// Takes the caller that has waited longest, with the moment since when.
  mutating func next() -> (LeaseID, since: Instant)? {
    while head < order.count {
      let waiter = order[head]
      head += 1
      if waiter.isGone { continue }
      left()
      return (waiter.id, waiter.since)
    }
    return nil
  }

  /// Takes one whose deadline has come, with how long it waited.
  mutating func expired(at now: Instant) -> (LeaseID, waited: Duration)? {
    while let first = deadlines.first, first.at <= now {
      pop()
      // It may have got what it waited for, or have come back since, with another deadline.
      if let index = index(of: first.id), order[index].deadline <= now, let waiter = take(first.id) {
        return (waiter.id, now - waiter.since)
      }
    }
    return nil
  }

  /// When `expired` has something to do, or something to clean, next.
  var nextDeadline: Instant? { isEmpty ? nil : deadlines.first?.at }

  func longestWait(at now: Instant) -> Duration {
    order[head...].first { !$0.isGone }.map { now - $0.since } ?? .zero
  }

  /// Where it is, or would be.
  private func place(of id: LeaseID) -> Int {
    var (low, high) = (head, order.count)
    while low < high {
      let middle = (low + high) / 2
      if order[middle].id < id { low = middle + 1 } else { high = middle }
    }
    return low
  }

  /// Where it waits; nil if it does not.
  private func index(of id: LeaseID) -> Int? {
    let place = place(of: id)
    return place < order.count && order[place].id == id && !order[place].isGone ? place : nil
  }

  private mutating func take(_ id: LeaseID) -> Waiter? {
    guard let index = index(of: id) else { return nil }
    let waiter = order[index]
    order[index].isGone = true
    left()
    return waiter
  }

  /// One less waits. Gaps never outnumber the waiting by more than a constant, so memory stays bounded whatever
  /// callers do.
  private mutating func left() {
    count -= 1
    if count == 0 {
      order.removeAll(keepingCapacity: order.count < 1024)
      deadlines.removeAll(keepingCapacity: deadlines.count < 1024)
      head = 0
      return
    }
    if order.count > 2 * count + 64 {
      order = order[head...].filter { !$0.isGone }
      head = 0
    }
    if deadlines.count > 2 * count + 64 {
      deadlines.removeAll(keepingCapacity: true)
      for waiter in order[head...] where !waiter.isGone { push((waiter.deadline, waiter.id)) }
    }
  }

  private mutating func push(_ entry: (at: Instant, id: LeaseID)) {
    deadlines.append(entry)
    var child = deadlines.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      if deadlines[parent].at <= deadlines[child].at { break }
      deadlines.swapAt(parent, child)
      child = parent
    }
  }

  private mutating func pop() {
    guard let last = deadlines.popLast(), !deadlines.isEmpty else { return }
    deadlines[0] = last
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < deadlines.count && deadlines[child].at < deadlines[least].at {
        least = child
      }
      if least == parent { return }
      deadlines.swapAt(parent, least)
      parent = least
    }
  }
}
