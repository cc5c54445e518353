import Health
import WarmPool

extension ServeSettings {
  /// What the pool needs to know of it.
  func poolConfiguration(instance: String, drained: Bool) -> WarmPool.Configuration {
    var configuration = WarmPool.Configuration(databaseURL: databaseURL)
    configuration.passwordFile = passwordFile
    configuration.applicationName = instance
    configuration.applicationNamePrefix = appNamePrefix
    configuration.requireRole = requireRole
    configuration.maxReplayLag = maxReplayLag
    configuration.probeQuery = probeQuery
    configuration.probeExpect = probeExpect
    configuration.ticketsDatabase = ticketsDatabase
    configuration.pool = pool
    configuration.startDrained = drained
    return configuration
  }
}
