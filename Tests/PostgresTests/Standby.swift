import Foundation

@testable import Support

/// Runs `body` with a standby that follows `primary`.
func withStandby<Result>(
  of primary: TestPostgres, _ settings: [String: String] = [:], _ body: (TestPostgres) async throws -> Result
) async throws -> Result {
  let conninfo = "host=\(primary.socketDirectory) port=\(primary.port) user=postgres"
  let standby = try await TestPostgres.make(settings: ["primary_conninfo": conninfo].merging(settings) { $1 })
  try FileManager.default.removeItem(atPath: standby.dataDirectory)
  try await runChecked(
    standby.installation.asServerUser + [
      standby.installation.program("pg_basebackup"), "-D", standby.dataDirectory, "-d", conninfo, "-c",
      "fast",
      "--no-sync", "-X", "stream",
    ])
  let signal = standby.dataDirectory + "/standby.signal"
  try "".write(toFile: signal, atomically: true, encoding: .utf8)
  standby.installation.giveAway(signal)
  do {
    try await standby.start()
    let result = try await body(standby)
    await blocking { standby.close() }
    return result
  } catch {
    await blocking { standby.close() }
    throw error
  }
}
