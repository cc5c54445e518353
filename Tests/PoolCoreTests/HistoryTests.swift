import PoolCore
import Testing

@Suite("the history of a pool")
struct HistoryTests {
  private let begin = Instant(nanoseconds: 5_000_000_000)

  private func snapshot(
    after time: Duration, leased: Int = 0, waiting: Int = 0, probe: ProbeReport.Result? = nil
  ) -> Snapshot {
    var snapshot = Snapshot(
      taken: begin + time, phase: .ready, reasons: [],
      pool: PoolCounts(min: 2, max: 10, idle: 10 - leased, leased: leased, waiting: waiting))
    snapshot.probe.last = probe
    return snapshot
  }

  @Test("a sample is the busiest moment of two seconds, its counts all of that moment")
  func busiest() {
    var history = History()
    #expect(history.samples.isEmpty)
    history.note(snapshot(after: .zero, leased: 3))
    history.note(snapshot(after: .milliseconds(500), leased: 7))
    history.note(snapshot(after: .milliseconds(900), leased: 6, waiting: 1))
    history.note(snapshot(after: .milliseconds(1900), leased: 9))
    history.note(snapshot(after: .seconds(2), leased: 1))
    #expect(history.samples.map(\.leased) == [6, 1])
    #expect(history.samples.map(\.idle) == [4, 9])
    #expect(history.samples.map(\.waiting) == [1, 0])
    #expect(history.samples.map(\.at) == [begin, begin + .seconds(2)])
  }

  @Test("each probe is counted once, the slowest of a step is kept, and one that failed")
  func probes() {
    var history = History()
    let quick = ProbeReport.Result(at: begin, took: .milliseconds(1))
    let slow = ProbeReport.Result(
      at: begin + .seconds(1), took: .milliseconds(800), fault: Fault(.timedOut, at: .probe))
    history.note(snapshot(after: .zero))
    history.note(snapshot(after: .milliseconds(100), probe: quick))
    history.note(snapshot(after: .milliseconds(600), probe: quick))
    history.note(snapshot(after: .seconds(1), probe: slow))
    history.note(snapshot(after: .milliseconds(2100), probe: slow))
    #expect(history.samples.map(\.probeTook) == [.milliseconds(800), nil])
    #expect(history.samples.map(\.probesFailed) == [1, 0])
  }

  @Test("it keeps five minutes, and has nothing for the time in which nobody published")
  func bounded() {
    var history = History()
    for second in 0..<2000 where second < 1800 || second >= 1850 {
      history.note(snapshot(after: .seconds(second)))
    }
    let samples = history.samples
    #expect(samples.count == History.capacity + 1)
    #expect(samples.last?.at == begin + .seconds(1998))
    let gaps = zip(samples, samples.dropFirst()).map { $1.at - $0.at }
    #expect(Set(gaps) == [.seconds(2), .seconds(52)])
  }
}
