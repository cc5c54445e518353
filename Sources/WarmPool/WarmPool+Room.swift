import PoolCore
import Postgres

/// Reading how many sessions the server has, when the core wants to know.
extension WarmPool {
  func askRoom(_ id: ConnectionID) {
    guard let connection = connections[id]?.connection else { return }
    askAside(on: connection) { pool in
      var room: ServerRoom?
      var hidden: String?
      do throws(QueryError) {
        switch try await RoomQuestion.ask(connection) {
        case .known(let known): room = known
        case .pooler: hidden = "a pooler is in between, and how many logins that takes nobody says"
        case .unexpected: hidden = "the server does not tell its limits"
        }
      } catch {
        hidden =
          error.fault.sqlState == .queryCanceled
          ? "no answer within \(Self.asidePatience.inTenths)" : error.fault.detail
      }
      guard pool.connections[id]?.connection === connection else { return }
      if let hidden, hidden != pool.roomHidden { pool.tell?(.roomHidden(hidden)) }
      pool.roomHidden = hidden
      pool.handle(.roomAnswered(id, room))
    }
  }
}
