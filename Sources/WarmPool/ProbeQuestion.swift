import PoolCore
import Postgres

/// What a connection is asked to show that the database is there and is the right one.
struct ProbeQuestion: Sendable {
  enum Answer: Sendable {
    case good
    /// `usable`: the connection works, the answer was wrong.
    case bad(Fault, usable: Bool)
  }

  var query: String
  var expect: String?
  var role: RequiredRole
  var maxReplayLag: Duration?

  func ask(_ connection: Connection) async -> Answer {
    do {
      let answer = try await connection.query(query)
      if let expect {
        let got = answer[0, 0]
        guard got == expect else {
          let message = "the probe answered \(Self.quoted(got)), expected \(Self.quoted(expect))"
          return .bad(
            Fault(.unexpectedAnswer, at: .probe, host: connection.hostLabel, message: message), usable: true)
        }
      }
      return try await checkRole(connection)
    } catch {
      var fault = error.fault
      if error.connectionUsable { fault.step = .probe }
      return .bad(fault, usable: error.connectionUsable)
    }
  }

  private func checkRole(_ connection: Connection) async throws(QueryError) -> Answer {
    guard role != .any else { return .good }
    let isStandby = await connection.isInHotStandby
    guard isStandby == (role == .standby) else {
      let message = isStandby ? "the server is a standby now" : "the server is a primary now"
      return .bad(Fault(.wrongRole, at: .role, host: connection.hostLabel, message: message), usable: true)
    }
    guard let maxReplayLag else { return .good }
    let lag = try await ReplayLag.ask(connection)
    guard lag <= maxReplayLag else {
      let message = "\(lag.inTenths) behind, at most \(maxReplayLag.inTenths) is allowed"
      return .bad(Fault(.replayLag, at: .role, host: connection.hostLabel, message: message), usable: true)
    }
    return .good
  }

  /// The probe's value is the user's data: bounded, and shown to operators only.
  private static func quoted(_ value: String?) -> String {
    value.map { "\"\($0.prefix(100))\"" } ?? "no value"
  }
}
