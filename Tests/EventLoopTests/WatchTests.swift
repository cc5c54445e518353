import Glibc
import PoolCore
import Support
import Testing

@testable import EventLoop

@Suite("watched descriptors") struct WatchTests {
  @Test("a watch reports what can be read, again and again until it is read")
  func levelTriggered() async throws {
    try await withLoop { loop in
      let pair = SocketPair()
      defer { pair.close() }
      let journal = Journal<Readiness>()
      await loop.until { done in
        let box = Box()
        box.watch = try? loop.watch(pair.ours) { readiness in
          journal.note(readiness)
          guard journal.entries.count == 3 else { return }
          box.watch?.cancel()
          done()
        }
        pair.say("x")
      }
      #expect(journal.entries == [.read, .read, .read])
    }
  }

  @Test("the end of the other side is a hang-up")
  func hangUp() async throws {
    try await withLoop { loop in
      let pair = SocketPair()
      defer { pair.close() }
      let journal = Journal<Readiness>()
      await loop.until { done in
        let box = Box()
        box.watch = try? loop.watch(pair.ours) { readiness in
          journal.note(readiness)
          box.watch?.cancel()
          done()
        }
        pair.closeTheirs()
      }
      #expect(journal.entries.first?.contains(.hangUp) == true)
    }
  }

  @Test("what follows from one descriptor is done before the next one has its say")
  func oneAfterTheOther() async throws {
    try await withLoop { loop in
      let pairs = [SocketPair(), SocketPair()]
      defer { for pair in pairs { pair.close() } }
      let journal = Journal<String>()
      await loop.until { done in
        for pair in pairs {
          let box = Box()
          box.watch = try? loop.watch(pair.ours) { _ in
            box.watch?.cancel()
            journal.note("ready")
            loop.post {
              journal.note("done")
              if journal.entries.count == 4 { done() }
            }
          }
        }
        for pair in pairs { pair.say("x") }
      }
      #expect(journal.entries == ["ready", "done", "ready", "done"])
    }
  }

  @Test("writing is reported only while it is asked for")
  func interest() async throws {
    try await withLoop { loop in
      let pair = SocketPair()
      defer { pair.close() }
      let journal = Journal<Readiness>()
      await loop.until { done in
        let box = Box()
        box.watch = try? loop.watch(pair.ours) { readiness in
          journal.note(readiness)
          box.watch?.interest = .read
        }
        afterTurns(3, on: loop) {
          #expect(journal.entries.isEmpty)
          box.watch?.interest = [.read, .write]
          afterTurns(5, on: loop) {
            box.watch?.cancel()
            done()
          }
        }
      }
      #expect(journal.entries == [.write])
    }
  }

  @Test("a handler that an earlier one of the same batch has cancelled does not run")
  func cancelWithinBatch() async throws {
    try await withLoop { loop in
      let pairs = (0..<20).map { _ in SocketPair() }
      defer { pairs.forEach { $0.close() } }
      let journal = Journal<Int>()
      await loop.on {
        let box = Box()
        for (index, pair) in pairs.enumerated() {
          let watch = try? loop.watch(pair.ours) { _ in
            journal.note(index)
            box.all.forEach { $0.cancel() }
          }
          if let watch { box.all.append(watch) }
        }
        // All of them are ready before the loop looks.
        for pair in pairs { pair.say("x") }
      }
      for _ in 0..<5 { await loop.on {} }
      #expect(journal.entries.count == 1)
    }
  }

  @Test("a descriptor that is closed and opened again in the batch does not get the old one's event")
  func reuse() async throws {
    try await withLoop { loop in
      let (first, second) = (SocketPair(), SocketPair())
      let kept = Box()
      defer { ([first, second] + kept.pairs).forEach { $0.close() } }
      let journal = Journal<String>()
      await loop.on {
        let box = Box()
        // Whichever handler runs first closes the other's descriptor and watches a new one under the same number.
        func replace(_ other: SocketPair, _ watch: Watch?) {
          guard box.all.count == 2 else { return }
          watch?.cancel()
          let fresh = SocketPair(replacing: other)
          if let watch = try? loop.watch(fresh.ours, .read, { _ in journal.note("new") }) {
            box.all.append(watch)
          }
          kept.pairs.append(fresh)
        }
        for (mine, other) in [(first, second), (second, first)] {
          let watch = try? loop.watch(mine.ours) { _ in
            journal.note("old")
            replace(other, box.all.first { $0.descriptor == other.ours })
            box.all.first { $0.descriptor == mine.ours }?.cancel()
          }
          if let watch { box.all.append(watch) }
        }
        first.say("x")
        second.say("x")
      }
      for _ in 0..<5 { await loop.on {} }
      #expect(journal.entries == ["old"])
    }
  }

  @Test("what cannot be watched throws, and names the call")
  func refused() async throws {
    try await withLoop { loop in
      let file = open("/proc/self/exe", O_RDONLY)
      defer { close(file) }
      let error = await loop.on { () -> SystemError? in
        do throws(SystemError) {
          _ = try loop.watch(file) { _ in }
          return nil
        } catch { return error }
      }
      #expect(error == SystemError("epoll_ctl", EPERM))
      #expect(error?.description == "epoll_ctl: Operation not permitted")
    }
  }
}

/// Each turn looks at the descriptors before its timers.
private func afterTurns(_ turns: Int, on loop: EventLoop, _ body: @escaping () -> Void) {
  if turns == 0 { return body() }
  loop.schedule(at: .origin) { afterTurns(turns - 1, on: loop, body) }
}

/// Holds what belongs to the loop's thread, for handlers that need it.
private final class Box: @unchecked Sendable {
  var watch: Watch?
  var all: [Watch] = []
  var pairs: [SocketPair] = []
}

/// Two connected sockets.
private final class SocketPair: @unchecked Sendable {
  private(set) var ours: Int32 = -1
  private var theirs: Int32 = -1

  init() {
    var ends: [Int32] = [-1, -1]
    socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends)
    (ours, theirs) = (ends[0], ends[1])
  }

  /// With our end under the number of the other pair's, which is closed: in one step, because other tests open
  /// descriptors at the same time.
  convenience init(replacing other: SocketPair) {
    self.init()
    dup2(ours, other.ours)
    Glibc.close(ours)
    ours = other.ours
    other.ours = -1
  }

  /// At the end of the test: an object that nobody uses any more may be gone before its scope is left.
  func close() {
    closeOurs()
    closeTheirs()
  }

  func say(_ text: String) { _ = write(theirs, text, text.utf8.count) }

  func closeOurs() {
    if ours >= 0 { Glibc.close(ours) }
    ours = -1
  }

  func closeTheirs() {
    if theirs >= 0 { Glibc.close(theirs) }
    theirs = -1
  }
}
