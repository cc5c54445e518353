import PoolCore
import Support
import Testing

@testable import EventLoop

@Suite("timers of a loop") struct TimerTests {
  @Test("they run in the order of their deadlines, and those of one deadline in the order they were made")
  func order() async throws {
    try await withLoop { loop in
      let journal = Journal<Int>()
      await loop.until { done in
        let now = EventLoop.now()
        for (delay, number) in [(30, 5), (10, 1), (20, 3), (10, 2), (20, 4)] {
          loop.schedule(at: now + .milliseconds(delay)) { journal.note(number) }
        }
        loop.schedule(at: now + .milliseconds(40)) { done() }
      }
      #expect(journal.entries == [1, 2, 3, 4, 5])
    }
  }

  @Test("one never runs before its deadline")
  func notEarly() async throws {
    try await withLoop { loop in
      let journal = Journal<Duration>()
      for delay in [1, 2, 3, 7, 11] {
        await loop.until { done in
          let deadline = EventLoop.now() + .milliseconds(delay)
          loop.schedule(at: deadline) {
            journal.note(EventLoop.now() - deadline)
            done()
          }
        }
      }
      #expect(journal.entries.allSatisfy { $0 >= .zero })
    }
  }

  @Test("one in the past runs in the next turn, also at the origin of time and before it")
  func past() async throws {
    try await withLoop { loop in
      for deadline in [Instant.origin, Instant(nanoseconds: .min), EventLoop.now() - .seconds(3)] {
        await loop.until { done in loop.schedule(at: deadline) { done() } }
      }
    }
  }

  @Test("timers that schedule themselves for the past leave room for everything else")
  func endlessPast() async throws {
    try await withLoop { loop in
      await loop.on { scheduleForEver(on: loop) }
      // The loop still answers.
      for _ in 0..<10 { #expect(await loop.on { true }) }
    }
  }

  @Test("one in the distant future never runs and wakes nobody")
  func distantFuture() async throws {
    try await withLoop { loop in
      let turns = Journal<Void>()
      let journal = Journal<Void>()
      await loop.on {
        loop.schedule(at: .distantFuture) { journal.note(()) }
        loop.schedule(at: Instant(nanoseconds: .max - 1)) { journal.note(()) }
        loop.onTurnEnd = { turns.note(()) }
      }
      await loop.until { done in loop.schedule(at: EventLoop.now() + .milliseconds(50)) { done() } }
      #expect(journal.entries.isEmpty)
      #expect(turns.entries.count <= 4)
    }
  }

  @Test("a cancelled one does not run, also when another handler of the same turn cancels it")
  func cancellation() async throws {
    try await withLoop { loop in
      let journal = Journal<String>()
      await loop.until { done in
        let deadline = EventLoop.now() + .milliseconds(5)
        let early = loop.schedule(at: deadline) { journal.note("early") }
        loop.cancel(early)
        loop.cancel(early)
        let tokens = Tokens()
        loop.schedule(at: deadline) { tokens.all.forEach(loop.cancel) }
        tokens.all = [loop.schedule(at: deadline) { journal.note("same turn") }]
        loop.schedule(at: deadline) {
          journal.note("last")
          done()
        }
      }
      #expect(journal.entries == ["last"])
    }
  }

  @Test("cancelling one that has run does nothing to others")
  func cancelAfterwards() async throws {
    try await withLoop { loop in
      let journal = Journal<Int>()
      await loop.until { done in
        let tokens = Tokens()
        tokens.all = [loop.schedule(at: .origin) { journal.note(1) }]
        loop.schedule(at: EventLoop.now() + .milliseconds(5)) {
          tokens.all.forEach(loop.cancel)
          loop.schedule(at: .origin) {
            journal.note(2)
            done()
          }
        }
      }
      #expect(journal.entries == [1, 2])
    }
  }

  @Test("an idle loop makes no turns, also after timers were cancelled")
  func idle() async throws {
    try await withLoop { loop in
      let turns = Journal<Void>()
      await loop.on {
        for _ in 0..<100 {
          let token = loop.schedule(at: EventLoop.now() + .milliseconds(10)) {}
          loop.cancel(token)
        }
        loop.onTurnEnd = { turns.note(()) }
      }
      await loop.until { done in loop.schedule(at: EventLoop.now() + .milliseconds(200)) { done() } }
      // The turn of the set-up, one in vain for the cancelled timers, the scheduling, the timer: and no more.
      #expect(turns.entries.count <= 6)
    }
  }

  @Test("ten thousand run in order, and cancelling them again and again leaves no heap of dead ones")
  func many() async throws {
    try await withLoop { loop in
      let journal = Journal<Int>()
      await loop.until { done in
        let start = EventLoop.now() + .milliseconds(20)
        for number in (0..<10_000).reversed() {
          loop.schedule(at: start + .microseconds(number)) { journal.note(number) }
        }
        loop.schedule(at: start + .milliseconds(10)) { done() }
      }
      #expect(journal.entries == Array(0..<10_000))
      let kept = await loop.on {
        for _ in 0..<100_000 {
          let token = loop.schedule(at: EventLoop.now() + .seconds(60)) {}
          loop.cancel(token)
        }
        return loop.timers.heapCount
      }
      #expect(kept <= 65)
    }
  }

  @Test("the queue agrees with a sorted list over thousands of random steps")
  func model() {
    let seed = UInt64.random(in: .min ... .max)
    var random = SplitMix(state: seed)
    var queue = TimerQueue()
    var expected: [(deadline: Instant, order: Int, token: TimerToken)] = []
    let fired = Box<[Int]>([])
    var wanted: [Int] = []
    for order in 0..<5_000 {
      switch Int.random(in: 0..<10, using: &random) {
      case 0..<5:
        let deadline = Instant(nanoseconds: Int64.random(in: 0..<500, using: &random))
        expected.append((deadline, order, queue.insert(deadline) { fired.value.append(order) }))
      case 5..<8:
        guard let index = expected.indices.randomElement(using: &random) else { continue }
        queue.cancel(expected.remove(at: index).token)
      default:
        let now = Instant(nanoseconds: Int64.random(in: 0..<200, using: &random))
        while let handler = queue.takeDue(now: now, madeUpTo: queue.newest) { handler() }
        let due = expected.filter { $0.deadline <= now }.sorted {
          ($0.deadline, $0.order) < ($1.deadline, $1.order)
        }
        wanted += due.map(\.order)
        expected.removeAll { $0.deadline <= now }
      }
      #expect(queue.count == expected.count, "seed \(seed)")
      #expect(queue.next == expected.map(\.deadline).min(), "seed \(seed)")
    }
    #expect(fired.value == wanted, "seed \(seed)")
  }
}

/// For handlers that need each other. On the loop only.
private final class Tokens: @unchecked Sendable {
  var all: [TimerToken] = []
}

private final class Box<Value> {
  var value: Value
  init(_ value: Value) { self.value = value }
}

private struct SplitMix: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

private func scheduleForEver(on loop: EventLoop) {
  loop.schedule(at: .origin) { scheduleForEver(on: loop) }
}
