import PoolCore

/// What is simulated: how many instances of how many connections, what happens to them, and on which server.
public struct Setup: Sendable {
  /// How many there are at rest.
  public var instances: Int
  /// Connections of each: what a pool calls its minimum and its maximum.
  public var connections: Int
  /// What happens.
  public var scenario: Scenario
  /// The server.
  public var model: ServerModel
  /// Decides every random choice.
  public var seed: UInt64
  /// The story is told for so long after the last trouble, if not everything is well before. Nil: 400 s, or four
  /// times as long as the server needs for every connection, if that is more.
  public var limit: Duration?

  /// A server with room for one and a half times the fleet, as a rollout may need.
  public init(instances: Int, connections: Int, scenario: Scenario, seed: UInt64 = 1) {
    self.instances = instances
    self.connections = connections
    self.scenario = scenario
    self.seed = seed
    model = ServerModel(slots: instances * connections * 3 / 2 + 3)
  }

  /// How long the server needs for every connection of the fleet, with nothing else to do.
  public var ideal: Duration {
    Duration.seconds(1).scaled(by: Double(instances * connections) / model.loginsPerSecond)
  }

  var patience: Duration { limit ?? max(.seconds(400), ideal + ideal + ideal + ideal) }
}
