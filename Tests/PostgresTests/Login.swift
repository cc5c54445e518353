import EventLoop
import PoolCore
import Support

@testable import Postgres

/// Runs `body` with a loop of its own, which ends with it.
func withLoop<Result>(_ body: (EventLoop) async throws -> Result) async throws -> Result {
  let loop = try EventLoop(name: "test")
  try loop.start()
  do {
    let result = try await body(loop)
    await end(loop)
    return result
  } catch {
    await end(loop)
    throw error
  }
}

private func end(_ loop: EventLoop) async {
  loop.stop()
  await blocking { loop.join() }
}

/// A connector for `url`, with a short deadline.
func connector(
  _ url: String?, on loop: EventLoop, passwordFile: String? = nil, timeout: Duration = .seconds(10),
  role: RequiredRole = .any, preparing: Bool = true
) throws -> Connector {
  let database = try Database(
    url: url, passwordFile: passwordFile, applicationName: "warmgate/test", connectTimeout: timeout,
    role: role)
  return Connector(loop: loop, database: database, preparesStatements: preparing)
}

/// The fault of a login that has to fail.
func loginFault(
  _ url: String?, on loop: EventLoop, passwordFile: String? = nil, timeout: Duration = .seconds(10),
  role: RequiredRole = .any
) async throws -> Fault? {
  let connector = try connector(url, on: loop, passwordFile: passwordFile, timeout: timeout, role: role)
  do throws(Fault) {
    let connection = try await connector.login()
    await connection.close()
    return nil
  } catch { return error }
}
