import Glibc
import PoolCore
import Support
import Synchronization
import Testing

@testable import EventLoop

@Suite("a loop as an executor") struct ExecutorTests {
  private actor Resident {
    nonisolated let loop: EventLoop
    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }
    var count = 0

    init(_ loop: EventLoop) { self.loop = loop }

    func add() -> Bool {
      count += 1
      return loop.isCurrent
    }

    func add(through other: Resident) async -> Bool {
      let there = await other.add()
      return there && add()
    }

    func addNow(to other: Resident) -> Int {
      other.assumeIsolated { other in
        _ = other.add()
        return other.count
      }
    }
  }

  @Test("actors live on its thread, and share it")
  func actors() async throws {
    try await withLoop { loop in
      let (a, b) = (Resident(loop), Resident(loop))
      #expect(await a.add())
      #expect(await a.add(through: b))
      #expect(await a.addNow(to: b) == 2)
      #expect(await a.count == 2)
    }
  }

  @Test("a thousand tasks at a time leave an actor's count exact")
  func contention() async throws {
    try await withLoop { loop in
      let resident = Resident(loop)
      await withTaskGroup(of: Void.self) { group in
        for _ in 0..<1_000 { group.addTask { for _ in 0..<10 { _ = await resident.add() } } }
      }
      #expect(await resident.count == 10_000)
    }
  }

  @Test("a task that prefers it runs on it, and comes back to it after waiting")
  func taskPreference() async throws {
    try await withLoop { loop in
      let seen = await Task(executorPreference: LoopTaskExecutor(loop)) {
        let before = loop.isCurrent
        await Task.yield()
        let after = loop.isCurrent
        let child = await withTaskGroup(of: Bool.self) { group in
          group.addTask { loop.isCurrent }
          return await group.next() ?? false
        }
        return [before, after, child]
      }.value
      #expect(seen == [true, true, true])
      #expect(!loop.isCurrent)
    }
  }

  @Test("a task that prefers it is not queued anew by what does not wait")
  func noDetours() async throws {
    try await withLoop { loop in
      let journal = Journal<String>()
      await Task(executorPreference: LoopTaskExecutor(loop)) {
        loop.post { journal.note("others") }
        await withTaskCancellationHandler {
          await withUnsafeContinuation { $0.resume() }
        } onCancel: {
        }
        journal.note("itself")
      }.value
      #expect(journal.entries.first == "itself")
    }
  }

  @Test("handlers of timers and posted work count as isolated to actors of the loop; other threads do not")
  func isolationChecks() async throws {
    try await withLoop { loop in
      let resident = Resident(loop)
      await loop.until { done in
        loop.checkIsolated()
        resident.assumeIsolated { _ = $0.add() }
        loop.schedule(at: .origin) {
          resident.assumeIsolated { _ = $0.add() }
          done()
        }
      }
      #expect(await resident.count == 2)
      #expect(loop.isIsolatingCurrentContext() == false)
    }
  }

  #if DEBUG
    @Test("isolation that does not hold is a crash, not a race")
    func wrongThread() async {
      await #expect(processExitsWith: .failure) {
        let loop = try EventLoop(name: "test")
        try loop.start()
        loop.preconditionIsolated()
      }
    }
  #endif

  @Test("work posted from many threads all runs, each thread's in its order")
  func posting() async throws {
    try await withLoop { loop in
      let journal = Journal<(thread: Int, number: Int)>()
      let (threads, each) = (8, 2_000)
      await withTaskGroup(of: Void.self) { group in
        for thread in 0..<threads {
          group.addTask {
            await blocking { for number in 0..<each { loop.post { journal.note((thread, number)) } } }
          }
        }
      }
      #expect(await eventually { journal.entries.count == threads * each })
      for thread in 0..<threads {
        #expect(journal.entries.filter { $0.thread == thread }.map(\.number) == Array(0..<each))
      }
    }
  }

  @Test("work that never ends by posting itself starves neither timers nor others")
  func fairness() async throws {
    try await withLoop { loop in
      let running = Atomic<Bool>(true)
      await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
        loop.post {
          repost(on: loop)
          loop.schedule(at: EventLoop.now() + .milliseconds(5)) { continuation.resume() }
        }
        @Sendable func repost(on loop: EventLoop) {
          if running.load(ordering: .relaxed) { loop.post { repost(on: loop) } }
        }
      }
      for _ in 0..<10 { await loop.on {} }
      running.store(false, ordering: .relaxed)
    }
  }

  @Test("what a turn's jobs enqueue on the loop runs in the same turn")
  func sameTurn() async throws {
    try await withLoop { loop in
      let journal = Journal<String>()
      await loop.on {
        loop.onTurnEnd = { journal.note("end") }
        loop.post {
          journal.note("a")
          loop.post { loop.post { journal.note("b") } }
        }
      }
      #expect(await eventually { journal.entries.contains("b") })
      #expect(journal.entries.prefix(3) == ["a", "b", "end"])
    }
  }

  @Test("the end of a turn may enqueue more, which makes another turn")
  func turnEnd() async throws {
    try await withLoop { loop in
      let journal = Journal<Int>()
      await loop.on {
        loop.onTurnEnd = {
          if journal.entries.count < 3 { loop.post { journal.note(1) } }
        }
      }
      #expect(await eventually { journal.entries.count == 3 })
    }
  }

  @Test("stopping ends the thread, from outside and from within, and its handlers are released")
  func stopping() async throws {
    final class Witness: Sendable {}
    for fromWithin in [false, true] {
      weak var witness: Witness?
      let loop = try EventLoop(name: "a name longer than the kernel's limit")
      try loop.start()
      witness = await loop.on {
        let made = Witness()
        loop.schedule(at: .distantFuture) { _ = made }
        return made
      }
      if fromWithin { loop.post { loop.stop() } } else { loop.stop() }
      await blocking { loop.join() }
      #expect(!loop.isRunning)
      #expect(witness == nil)
    }
  }

  @Test("a loop that was never started, and one that is stopped before it starts, end without a word")
  func neverStarted() async throws {
    let idle = try EventLoop(name: "idle")
    idle.stop()
    idle.join()
    try idle.start()
    await blocking { idle.join() }
    #expect(!idle.isRunning)
  }

  @Test("loops give back their descriptors")
  func descriptors() async throws {
    await #expect(processExitsWith: .success) {
      func openDescriptors() -> Int { (0..<4096).count { fcntl(Int32($0), F_GETFD) >= 0 } }
      let before = openDescriptors()
      for _ in 0..<50 {
        let loop = try EventLoop(name: "test")
        try loop.start()
        loop.stop()
        loop.join()
      }
      precondition(openDescriptors() <= before + 3)
    }
  }
}
