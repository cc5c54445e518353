import PoolCore

/// What one page of metrics is made of.
struct Scrape: Sendable {
  let observation: Observation
  let verdict: Verdict
  let state: InstanceState
  let requests: [RequestCounts.Count]
  let process: ProcessMetrics
  let version: String

  init(
    _ observation: Observation, requests: [RequestCounts.Count] = [],
    process: ProcessMetrics = ProcessMetrics(), version: String = ""
  ) {
    self.observation = observation
    self.requests = requests
    self.process = process
    self.version = version
    verdict = observation.verdict
    state = InstanceState(observation)
  }

  var snapshot: Snapshot { observation.snapshot }
  var counters: Counters { observation.snapshot.counters }
}
