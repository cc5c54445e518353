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

  @Test("writing is reported only while it is asked for")
  func interest() async throws {
    try await withLoop { loop in
      let pair = SocketPair()
      let journal = Journal<Readiness>()
      await loop.until { done in
        let box = Box()
        box.watch = try? loop.watch(pair.ours) { readiness in
          journal.note(readiness)
          if readiness == .write { box.watch?.interest = .read }
        }
        // Nothing for two turns, then writing once, then nothing again.
        loop.schedule(at: EventLoop.now() + .milliseconds(5)) {
          #expect(journal.entries.isEmpty)
          box.watch?.interest = [.read, .write]
        }
        loop.schedule(at: EventLoop.now() + .milliseconds(20)) {
          box.watch?.cancel()
          done()
        }
      }
      #expect(journal.entries == [.write])
    }
  }

  @Test("a handler that an earlier one of the same batch has cancelled does not run")
  func cancelWithinBatch() async throws {
    try await withLoop { loop in
      let pairs = (0..<20).map { _ in SocketPair() }
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
      let journal = Journal<String>()
      await loop.on {
        let box = Box()
        // Whichever handler runs first closes the other's descriptor and watches a new one under the same number.
        func replace(_ other: SocketPair, _ watch: Watch?) {
          guard box.all.count == 2 else { return }
          watch?.cancel()
          let number = other.ours
          other.closeOurs()
          let fresh = SocketPair(ours: number)
          if let watch = try? loop.watch(fresh.ours, .read, { _ in journal.note("new") }) {
            box.all.append(watch)
          }
          box.keep.append(fresh)
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

/// Holds what belongs to the loop's thread, for handlers that need it.
private final class Box: @unchecked Sendable {
  var watch: Watch?
  var all: [Watch] = []
  var keep: [SocketPair] = []
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

  /// With our end under a given number.
  convenience init(ours number: Int32) {
    self.init()
    if ours != number {
      dup2(ours, number)
      close(ours)
      ours = number
    }
  }

  deinit {
    closeOurs()
    closeTheirs()
  }

  func say(_ text: String) { _ = write(theirs, text, text.utf8.count) }

  func closeOurs() {
    if ours >= 0 { close(ours) }
    ours = -1
  }

  func closeTheirs() {
    if theirs >= 0 { close(theirs) }
    theirs = -1
  }
}
