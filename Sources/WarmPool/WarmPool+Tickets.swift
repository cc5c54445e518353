import EventLoop
import PoolCore
import Postgres

/// Tickets of the fleet. They are taken on the probe's connection; where the instances use different databases, on one
/// of their own in the database they share, which is kept for as long as a ticket is wanted or held.
extension WarmPool {
  func askTicket(_ id: ConnectionID) {
    guard let connection = connections[id]?.connection else { return }
    let question = TicketQuestion(tickets: configuration.pool.fleetTickets)
    guard let connector = ticketConnector else {
      return askAside(on: connection) { pool in
        let answer = await question.ask(connection)
        if pool.connections[id]?.connection === connection { pool.handle(.ticketAnswered(id, answer)) }
      }
    }
    let host = connection.host
    onLoop { pool in
      do throws(Fault) {
        if pool.ticketSession == nil {
          let session = try await connector.login(at: .only(host))
          pool.keepTicketSession(session, for: id)
        }
        guard pool.core.probeConnection == id, let session = pool.ticketSession else { return }
        pool.handle(.ticketAnswered(id, await question.ask(session)))
      } catch {
        let isFull = error.sqlState == .tooManyConnections
        pool.handle(.ticketAnswered(id, isFull ? .noneFree : .unavailable(error.detail)))
      }
    }
  }

  func returnTicket(_ id: ConnectionID) {
    guard ticketConnector == nil else { return endTicketSession() }
    guard let connection = connections[id]?.connection else { return }
    let question = TicketQuestion(tickets: configuration.pool.fleetTickets)
    askAside(on: connection) { _ in await question.giveBack(connection) }
  }

  func countApp(_ id: ConnectionID) {
    guard let connection = connections[id]?.connection else { return }
    let question = AppQuestion(prefix: configuration.applicationNamePrefix)
    askAside(on: connection) { pool in
      let count = await question.ask(connection)
      if pool.connections[id]?.connection === connection { pool.handle(.appCounted(id, count)) }
    }
  }

  /// Unless it has come too late: the pool drains, or its probe is elsewhere and has asked for another one.
  private func keepTicketSession(_ session: Connection, for id: ConnectionID) {
    guard ticketSession == nil, core.wantsTicket, core.probeConnection == id else {
      return session.assumeIsolated { $0.close() }
    }
    ticketSession = session
    session.assumeIsolated {
      $0.onEnd { _ in self.assumeIsolated { if $0.ticketSession === session { $0.ticketSession = nil } } }
    }
  }

  /// Its lock goes with it.
  func endTicketSession() {
    ticketSession?.assumeIsolated { $0.close() }
    ticketSession = nil
  }
}
