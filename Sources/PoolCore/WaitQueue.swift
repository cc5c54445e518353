/// Callers that wait for a connection: first come, first served, each with its own deadline.
///
/// Adding, taking the next and cancelling cost the same however many wait: a caller that gives up leaves a gap in
/// the order, which is skipped when its turn comes. Deadlines lie in a heap beside it, cleaned the same way.
struct WaitQueue: Sendable {
  struct Waiter: Sendable {
    var since: Instant
    var deadline: Instant
  }

  private var waiting: [LeaseID: Waiter] = [:]
  private var order: [LeaseID] = []
  private var head = 0
  private var deadlines: [(at: Instant, id: LeaseID)] = []

  var count: Int { waiting.count }
  var isEmpty: Bool { waiting.isEmpty }

  func contains(_ id: LeaseID) -> Bool { waiting[id] != nil }

  /// What it keeps in memory, gaps included.
  var footprint: Int { order.count + deadlines.count }

  mutating func add(_ id: LeaseID, deadline: Instant, at now: Instant) {
    waiting[id] = Waiter(since: now, deadline: deadline)
    order.append(id)
    push((deadline, id))
  }

  /// Ahead of all others.
  mutating func addFirst(_ id: LeaseID, deadline: Instant, at now: Instant) {
    waiting[id] = Waiter(since: now, deadline: deadline)
    if head > 0 {
      head -= 1
      order[head] = id
    } else {
      order.insert(id, at: 0)
    }
    push((deadline, id))
  }

  /// True if it waited.
  mutating func cancel(_ id: LeaseID) -> Bool {
    guard waiting.removeValue(forKey: id) != nil else { return false }
    compact()
    return true
  }

  /// Takes the caller that has waited longest.
  mutating func next() -> LeaseID? {
    while head < order.count {
      let id = order[head]
      head += 1
      if waiting.removeValue(forKey: id) != nil {
        compact()
        return id
      }
    }
    compact()
    return nil
  }

  /// Takes one whose deadline has come, with how long it waited.
  mutating func expired(at now: Instant) -> (LeaseID, waited: Duration)? {
    while let first = deadlines.first, first.at <= now || waiting[first.id] == nil {
      pop()
      if let waiter = waiting.removeValue(forKey: first.id) {
        compact()
        return (first.id, now - waiter.since)
      }
    }
    return nil
  }

  /// When `expired` has something to do, or something to clean, next.
  var nextDeadline: Instant? { isEmpty ? nil : deadlines.first?.at }

  func longestWait(at now: Instant) -> Duration {
    var index = head
    while index < order.count {
      if let waiter = waiting[order[index]] { return now - waiter.since }
      index += 1
    }
    return .zero
  }

  /// Gaps never outnumber the waiting by more than a constant, so memory stays bounded whatever callers do.
  private mutating func compact() {
    if waiting.isEmpty {
      order.removeAll(keepingCapacity: order.count < 1024)
      deadlines.removeAll(keepingCapacity: deadlines.count < 1024)
      head = 0
      return
    }
    if order.count > 2 * waiting.count + 64 {
      order = order[head...].filter { waiting[$0] != nil }
      head = 0
    }
    if deadlines.count > 2 * waiting.count + 64 {
      let live = deadlines.filter { waiting[$0.id] != nil }
      deadlines.removeAll(keepingCapacity: true)
      for entry in live { push(entry) }
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
