import Testing

@testable import PoolCore

@Suite("Histograms")
struct HistogramTests {
  @Test("a size that is a bound counts up to it, one more beyond it", arguments: Histogram.Scale.allCases)
  func bounds(scale: Histogram.Scale) {
    for (index, bound) in scale.bounds.enumerated() {
      var histogram = Histogram(scale)
      histogram.add(nanoseconds: bound)
      #expect(histogram.cumulative == (0...scale.bounds.count).map { $0 >= index ? 1 : 0 })
      histogram.add(nanoseconds: bound + 1)
      #expect(histogram.cumulative == (0...scale.bounds.count).map { $0 > index ? 2 : $0 == index ? 1 : 0 })
      #expect(histogram.count == 2)
      #expect(histogram.sum == .nanoseconds(2 * bound + 1))
    }
  }

  @Test("bounds ascend, and each scale has room for its own", arguments: Histogram.Scale.allCases)
  func ascending(scale: Histogram.Scale) {
    #expect(scale.bounds == scale.bounds.sorted())
    #expect(Set(scale.bounds).count == scale.bounds.count)
    var histogram = Histogram(scale)
    for bound in scale.bounds { histogram.add(nanoseconds: bound) }
    histogram.add(nanoseconds: .max)
    #expect(histogram.count == UInt64(scale.bounds.count) + 1)
    #expect(histogram.cumulative.last == histogram.count)
  }

  @Test("absurd times neither trap nor count for less than nothing")
  func absurd() {
    var histogram = Histogram(.wait)
    histogram.add(from: .distantFuture, to: .origin)
    #expect(histogram.sum == .zero)
    histogram.add(from: Instant(nanoseconds: .min), to: .distantFuture)
    histogram.add(nanoseconds: .max)
    histogram.add(nanoseconds: .max)
    histogram.add(nanoseconds: -5)
    #expect(histogram.count == 5)
    #expect(histogram.cumulative.first == 2)
  }

  @Test("a caller's wait, and how long it held the connection, are counted as they were")
  func measured() throws {
    let pool = VirtualPool {
      ($0.minConnections, $0.maxConnections, $0.acquireTimeout) = (2, 2, .seconds(60))
    }
    pool.advance(within: .seconds(10)) { $0.core.phase == .ready }
    let began = pool.now
    let first = pool.acquire()
    let second = pool.acquire()
    pool.advance(to: began + .seconds(4))
    pool.release(first)
    pool.advance(to: began + .seconds(6))
    pool.release(second)
    let timings = pool.snapshot.timings
    #expect(timings.acquires.count == 2)
    #expect(timings.acquires.sum == .seconds(4))
    #expect(timings.leases.count == 2)
    #expect(timings.leases.sum == .seconds(6))
  }
}

@Suite("Counts of faults")
struct FaultCountsTests {
  @Test("a server that makes up codes gets 64 counts of its own; those that matter always have theirs")
  func bounded() throws {
    var counts = FaultCounts()
    let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
    for number in 0..<5000 {
      let code = "Z" + String((0..<4).map { letters[number / [1, 36, 1296, 46656][$0] % 36] })
      counts.add(Fault(.server(try #require(SQLState(code))), at: .session))
    }
    #expect(counts.byState.count == FaultCounts.unknownStates)
    #expect(counts.others == 5000 - FaultCounts.unknownStates)
    for state in SQLState.known { counts.add(Fault(.server(state), at: .session)) }
    counts.add(Fault(.server(.invalidPassword), at: .authentication))
    #expect(counts.byState[.invalidPassword] == 2)
    #expect(counts.byState.count == FaultCounts.unknownStates + SQLState.known.count)
    for name in Fault.kindNames { #expect(name != "server") }
    #expect(counts.total == 5000 + SQLState.known.count + 1)
  }

  @Test("each kind but the server's own words is counted by its name, and named once")
  func kinds() {
    var counts = FaultCounts()
    counts.add(Fault(.refused, at: .tcp))
    counts.add(Fault(.refused, at: .tcp))
    counts.add(Fault(.timedOut, at: .probe))
    #expect(counts.byKind == ["refused": 2, "timed_out": 1])
    #expect(Set(Fault.kindNames).count == Fault.kindNames.count)
    #expect(Fault.kindNames.contains("refused") && Fault.kindNames.contains("timed_out"))
  }

  @Test("every failure of a login or a probe is in the counts of the pool, once")
  func once() throws {
    let pool = VirtualPool()
    pool.server.login = .refuses(Fault(.server(.invalidPassword), at: .authentication))
    pool.advance(by: .seconds(30))
    let counters = pool.snapshot.counters
    #expect(counters.loginsFailed > 1)
    #expect(counters.faults.byState == [.invalidPassword: counters.loginsFailed])
    #expect(counters.faults.total == counters.loginsFailed)
  }
}
