import FleetSim
import Health
import PoolCore

extension Command {
  static let simulate = Command(
    name: "simulate", operands: "SCENARIO",
    summary: "plays a fleet through an outage, in virtual time, beside other pools",
    details:
      "Runs the pool's own decisions, thousands of times over, against a model of PostgreSQL: slots, workers, and a queue "
      + "for logins. Nothing is connected to, and the same seed gives the same answer. --list names the scenarios. One "
      + "with a slash or a dot in its name is a file of your own, with a line for each thing that happens. TIME is since "
      + "the beginning; instances that are warm have all their connections by then. SHARE is a number such as 40, a "
      + "part such as 25%, or all. roll replaces every instance, so many at a time; occupy is of the server's slots, by "
      + "others; a partition hides so many instances from the server.",
    fileLines: Scenario.forms + ["# a comment"],
    options: [
      Option(name: "instances", placeholder: "NUMBER", meaning: "of the fleet; needed"),
      Option(
        name: "connections", placeholder: "NUMBER",
        meaning: "of each instance, its minimum and its maximum (default: 10)"),
      Option(
        name: "strategy", placeholder: "NAME[,NAME…]",
        meaning: "ways of logging in to compare (default: all, as --list names them)"),
      Option(name: "seed", placeholder: "NUMBER", meaning: "decides what is left to chance (default: 1)"),
      Option(
        name: "connect-timeout", placeholder: "DURATION",
        meaning: "an instance gives a login up after so long, as serve does (default: 5s)"),
      Option(
        name: "server-connections", placeholder: "NUMBER",
        meaning: "max_connections of the server (default: one and a half times the fleet's)"),
      Option(
        name: "server-reserved", placeholder: "NUMBER",
        meaning: "slots of these that the fleet cannot have (default: 3)"),
      Option(
        name: "server-logins-per-second", placeholder: "NUMBER",
        meaning:
          "logins that the server completes at most (default: \(Int(ServerModel(slots: 0).loginsPerSecond)), as "
          + "scripts/calibrate measured a small one)"),
      .json, Option(name: "svg", placeholder: "FILE", meaning: "writes a chart there"),
      Option(name: "list", meaning: "names the scenarios and strategies, and ends"),
    ], exits: [(0, "always"), (1, "the chart could not be written")]
  ) { invocation throws(UsageError) in
    if invocation.arguments.has("list") {
      try invocation.expectOperands(atMost: 0)
      for line in SimulationReport.list { invocation.console.print(line) }
      return 0
    }
    try invocation.expectOperands(atMost: 1)
    let setup = try invocation.setup()
    var outcomes: [Outcome] = []
    for strategy in try invocation.strategies() {
      invocation.console.progress("simulating \(strategy.rawValue) …")
      outcomes.append(strategy.run(setup))
    }
    invocation.console.progress("")
    let report = SimulationReport(setup: setup, outcomes: outcomes)
    if invocation.arguments.has("json") {
      invocation.console.print(report.json.text)
    } else {
      for line in report.lines { invocation.console.print(line) }
    }
    for outcome in outcomes {
      for law in outcome.violations { invocation.console.complain("\(outcome.strategy.rawValue): \(law)") }
    }
    guard let path = invocation.arguments.value("svg") else { return 0 }
    do throws(TextFile.Failure) {
      try TextFile.write(Chart(setup, outcomes).svg, to: path)
    } catch {
      invocation.console.complain("--svg \(path.quoted): \(error.description)")
      return 1
    }
    return 0
  }
}

extension Command.Invocation {
  private func count(_ option: String, in range: ClosedRange<Int>) throws(UsageError) -> Int? {
    guard let number = try value(option, as: .count) else { return nil }
    guard range.contains(number) else {
      throw UsageError(
        "--\(option) \("\(number)".quoted): give \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  fileprivate func setup() throws(UsageError) -> Setup {
    let scenario = try scenario()
    guard let instances = try count("instances", in: 1...100_000) else {
      throw UsageError("simulate needs to know how many instances: --instances NUMBER")
    }
    let connections = try count("connections", in: 1...10_000) ?? 10
    guard instances * connections <= 1_000_000 else {
      throw UsageError(
        "--instances \(instances) with --connections \(connections): give at most 1000000 connections in all")
    }
    let seed = try count("seed", in: 0...Int.max) ?? 1
    var setup = Setup(
      instances: instances, connections: connections, scenario: scenario, seed: UInt64(seed))
    if let slots = try count("server-connections", in: 1...10_000_000) { setup.model.slots = slots }
    if let reserved = try count("server-reserved", in: 0...10_000_000) {
      if arguments.value("server-connections") == nil { setup.model.slots += reserved - setup.model.reserved }
      setup.model.reserved = reserved
    }
    if let rate = try count("server-logins-per-second", in: 1...1_000_000) {
      setup.model.loginsPerSecond = Double(rate)
    }
    if let timeout = try duration("connect-timeout") {
      // As `serve` has it.
      guard (.milliseconds(100)...(.seconds(3600))).contains(timeout) else {
        throw UsageError("--connect-timeout \(timeout.settingText.quoted): give 100ms to 1h")
      }
      setup.model.connectTimeout = timeout
    }
    return setup
  }

  private func scenario() throws(UsageError) -> Scenario {
    guard let name = arguments.operands.first else {
      throw UsageError("simulate needs a scenario; \"warmgate simulate --list\" names them")
    }
    if let known = Scenario.known.first(where: { $0.name == name }) { return known }
    guard name.contains("/") || name.contains(".") else {
      let meant = nearest(to: name, among: Scenario.known.map(\.name)).map { ": did you mean \($0)?" }
      throw UsageError(
        "unknown scenario \(name.quoted)\(meant ?? "; \"warmgate simulate --list\" names them, a file needs a / or a . in its path")"
      )
    }
    do throws(TextFile.Failure) {
      let text = try TextFile.read(name, atMost: 1 << 20)
      do throws(ScenarioError) { return try Scenario(name: name, text: text) } catch {
        throw TextFile.Failure(error.description.escapingControls)
      }
    } catch {
      throw UsageError("scenario \(name.quoted): \(error.description)")
    }
  }

  fileprivate func strategies() throws(UsageError) -> [Strategy] {
    guard let text = arguments.value("strategy") else { return Strategy.allCases }
    var strategies: [Strategy] = []
    for name in text.split(separator: ",", omittingEmptySubsequences: false) {
      do throws(NotAccepted) {
        let strategy = try ValueKind<Strategy>.choice.read(String(name))
        if !strategies.contains(strategy) { strategies.append(strategy) }
      } catch {
        throw UsageError("--strategy \(String(name).quoted): \(error.why)")
      }
    }
    return strategies
  }
}
