import FleetSim
import Health
import PoolCore

extension SimulationReport {
  /// The same with all that it was made of; times in seconds, series in steps of `series_step`.
  var json: JSON {
    let model = setup.model
    return [
      "scenario": .string(setup.scenario.name),
      "instances": .int(setup.instances),
      "connections": .int(setup.connections),
      "seed": .int(Int(clamping: setup.seed)),
      "server": [
        "max_connections": .int(model.slots), "reserved": .int(model.reserved),
        "logins_per_second": .number(model.loginsPerSecond), "workers": .int(model.workers),
        "crowding": .number(model.crowding), "latency": .seconds(model.latency),
        "connect_timeout": .seconds(model.connectTimeout),
      ],
      "trouble_begins": setup.scenario.troubleBegins.map { .seconds($0) } ?? .null,
      "calm": .seconds(setup.scenario.calm),
      "series_step": .seconds(Series.step),
      "strategies": .array(outcomes.map(Self.json)),
    ]
  }

  private static func json(_ outcome: Outcome) -> JSON {
    func array(_ numbers: [Int]) -> JSON { .array(numbers.map { .int($0) }) }
    return [
      "strategy": .string(outcome.strategy.rawValue),
      "refused_per_second": outcome.refusedPerSecond.map { .number($0) } ?? .null,
      "peak_arrivals": .int(outcome.peakArrivals), "wasted": .int(outcome.wasted),
      "timed_out": .int(outcome.timedOut), "no_slots": .int(outcome.noSlots),
      "all_have_one": outcome.allHaveOne.map { .seconds($0) } ?? .null,
      "all_full": outcome.allFull.map { .seconds($0) } ?? .null,
      "times_ideal": outcome.timesIdeal.map { .number($0) } ?? .null,
      "ready": .int(outcome.ready), "instances": .int(outcome.instances), "ended": .seconds(outcome.ended),
      "violations": .array(outcome.violations.map { .string($0) }),
      "series": [
        "logins": array(outcome.series.logins), "sessions": array(outcome.series.sessions),
        "ready": array(outcome.series.ready),
      ],
    ]
  }
}
