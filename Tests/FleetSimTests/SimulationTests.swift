import PoolCore
import Testing

@testable import FleetSim

@Suite struct SimulationTests {
  private func setup(_ name: String, _ instances: Int, _ connections: Int = 3, seed: UInt64 = 1) throws
    -> Setup
  {
    let scenario = try #require(Scenario.known.first { $0.name == name })
    return Setup(instances: instances, connections: connections, scenario: scenario, seed: seed)
  }

  private func pools(_ setup: Setup) -> Simulation<PoolCore> {
    var settings = PoolSettings()
    (settings.minConnections, settings.maxConnections) = (setup.connections, setup.connections)
    return Simulation(setup, .warmgate) { PoolCore(settings: settings, seed: $0, at: $1) }
  }

  @Test(
    "the same seed gives the same outcome and the same picture",
    arguments: Strategy.allCases)
  func deterministic(strategy: Strategy) throws {
    let setup = try setup("partial-partition", 20)
    let (first, second) = (strategy.run(setup), strategy.run(setup))
    #expect(first == second)
    #expect(Chart(setup, [first]).svg == Chart(setup, [second]).svg)
  }

  @Test(
    "in every scenario every instance ends ready and full, and no law is broken", arguments: Scenario.known)
  func endsWell(scenario: Scenario) {
    let outcome = Strategy.warmgate.run(Setup(instances: 30, connections: 4, scenario: scenario))
    #expect(outcome.violations == [])
    #expect(outcome.ready == 30 && outcome.instances == 30)
    #expect(outcome.allFull != nil && outcome.allHaveOne != nil)
  }

  @Test("warm instances have everything when the story begins, and lose it all at once when the server dies")
  func warm() throws {
    let series = Strategy.warmgate.run(try setup("outage", 50)).series
    // The outage begins after 5 s, and lasts 30.
    #expect(series.sessions[0..<50].allSatisfy { $0 == 150 })
    #expect(series.ready[0..<50].allSatisfy { $0 == 50 })
    #expect(series.sessions[50..<349].allSatisfy { $0 == 0 })
    #expect(series.ready[349] == 0)
    #expect(series.sessions.last == 150)
  }

  @Test("a server that restarts takes no login before it has started")
  func restart() throws {
    // Down after 5 s for 3, and starting for 10 more.
    let series = Strategy.warmgate.run(try setup("restart", 20)).series
    #expect(series.sessions[0..<50].allSatisfy { $0 == 60 })
    #expect(series.sessions[50..<179].allSatisfy { $0 == 0 })
    #expect(series.logins[80..<179].reduce(0, +) > 20)
    #expect(series.sessions.last == 60)
  }

  @Test(
    "times are from the end of the trouble on, and the ideal is what the server needs for what is missing")
  func times() throws {
    let setup = try setup("outage", 200, 10)
    let outcome = Strategy.hikariCP.run(setup)
    let full = try #require(outcome.allFull)
    #expect(full >= setup.ideal)
    #expect(abs(try #require(outcome.timesIdeal) - full / setup.ideal) < 0.001)
    #expect(abs((outcome.ended - setup.scenario.calm - full).inSeconds) < 0.001)
  }

  @Test("the last 100 ms are counted from the end of the trouble on, and what comes before it is no peak")
  func peak() throws {
    // Refused all the time, and all of them together at the end.
    let setup = try setup("outage", 10, 2)
    let outcome = Strategy.everySlot.run(setup)
    #expect(outcome.peakArrivals == 20)
    #expect(abs(try #require(outcome.refusedPerSecond) - 200) < 5)
    #expect(outcome.allFull != nil)
  }

  @Test("a login that its client gave up is done all the same, and counted as wasted")
  func wasted() throws {
    // 20 a second: 200 logins at once are 10 s of work, and after 5 s nobody waits for them.
    var setup = try setup("cold-start", 20, 10)
    setup.model.loginsPerSecond = 20
    setup.limit = .seconds(20)
    let outcome = Strategy.everySlot.run(setup)
    #expect(outcome.timedOut > 90)
    #expect(outcome.wasted > 90)
    // One after the other, ten at a time are half a second of work.
    #expect(Strategy.pgBouncer.run(setup).wasted == 0)
  }

  @Test("a rollout replaces every instance, and each old one ends in order")
  func rollout() throws {
    var simulation = pools(try setup("rollout", 20))
    let outcome = simulation.run()
    #expect(outcome.ready == 20 && outcome.instances == 20 && outcome.noSlots == 0)
    #expect(simulation.seats.count == 40)
    #expect(simulation.seats[0..<20].allSatisfy { $0.stage == .gone && $0.open == 0 })
    #expect(simulation.seats[20...].allSatisfy { $0.stage == .running && $0.open == 3 })
    // Five at a time are above, and never one below.
    #expect(outcome.series.ready.allSatisfy { $0 >= 20 && $0 <= 25 })
  }

  @Test(
    "an instance without a network hears of nothing; what it gave up holds its slot until the network is back"
  )
  func partition() throws {
    let setup = try setup("partial-partition", 30)
    var simulation = pools(setup)
    let outcome = simulation.run()
    // 34 % of 30, rounded up.
    #expect(outcome.series.ready.min() == 19)
    // It is over after 35 s: until then the server sees every session, and more of them never.
    #expect(outcome.series.sessions[0..<350].allSatisfy { $0 == 90 })
    #expect(outcome.series.sessions[350] < 90)
    #expect(outcome.ready == 30 && simulation.seats.allSatisfy { $0.unclosed == 0 })
  }

  @Test("what the server does meanwhile, an instance without a network learns when it is back")
  func partitionAndOutage() throws {
    let scenario = try Scenario(
      name: "both",
      text: "at 0s warm all\nat 5s partition all for 4s\nat 6s outage 1s\nat 5s occupy 1 for 1s")
    var simulation = pools(Setup(instances: 5, connections: 3, scenario: scenario))
    let outcome = simulation.run()
    #expect(outcome.violations == [])
    #expect(outcome.ready == 5)
    #expect(outcome.series.sessions[65] == 0)
  }

  @Test("where there is no room for everybody nobody is above its share, and the server is never overfull")
  func noRoom() throws {
    var setup = try setup("cold-start", 10, 4)
    setup.model.slots = 23
    setup.limit = .seconds(120)
    let outcome = Strategy.warmgate.run(setup)
    #expect(outcome.violations == [])
    #expect(outcome.series.sessions.allSatisfy { $0 <= 20 })
    #expect(outcome.noSlots > 0 && outcome.allFull == nil)
  }

  @Test(
    "where forty do not fit all but one of those that could be are ready after two minutes", arguments: 1...10
  )
  func mostOfThem(seed: Int) throws {
    var setup = try setup("cold-start", 40, 4, seed: UInt64(seed))
    setup.model.slots = 100
    setup.limit = .seconds(120)
    let outcome = Strategy.warmgate.run(setup)
    #expect(outcome.violations == [])
    #expect(outcome.ready >= 22)
    // One in four knocks once a second.
    #expect(outcome.noSlots <= 500)
  }

  @Test("an instance that stays unready although there is room is a broken law")
  func liveness() throws {
    var setup = try setup("outage", 5)
    // Nobody has time to come back.
    setup.limit = .milliseconds(1)
    #expect(Strategy.warmgate.run(setup).violations == ["5 instances stay unready"])
  }

  @Test("a picture names its strategies, has three charts, and escapes what a file's name may hold")
  func chart() throws {
    var setup = try setup("outage", 5)
    setup.scenario.name = "a<b>&c.txt"
    let outcomes = [Strategy.warmgate, .pgBouncer].map { $0.run(setup) }
    let svg = Chart(setup, outcomes).svg
    #expect(svg.hasPrefix("<svg ") && svg.hasSuffix("</svg>\n"))
    #expect(svg.contains("a&lt;b&gt;&amp;c.txt"))
    #expect(svg.contains(">warmgate</text>") && svg.contains(">pgbouncer</text>"))
    // Two in the legend, and two in each chart.
    #expect(svg.split(separator: "<polyline").count - 1 == 8)
  }

  @Test("the logarithm of a chart grows from zero, and by one for each doubling")
  func logarithm() {
    #expect(Chart.logarithm(0) == 0)
    for power in 1...20 { #expect(Chart.logarithm((1 << power) - 1) == Double(power)) }
    for value in 0..<1000 { #expect(Chart.logarithm(value) < Chart.logarithm(value + 1)) }
  }
}
