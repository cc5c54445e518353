import CLibpq
import Glibc

/// What it knows without asking the server.
extension Connection {
  /// Where the session stands in a transaction. `unknown` for a connection that is over.
  public var transactionStatus: TransactionStatus {
    guard let session else { return .unknown }
    return switch PQtransactionStatus(session.connection) {
    case PQTRANS_IDLE: .idle
    case PQTRANS_ACTIVE: .active
    case PQTRANS_INTRANS: .inTransaction
    case PQTRANS_INERROR: .inFailedTransaction
    default: .unknown
    }
  }

  /// Where a session stands in a transaction.
  public enum TransactionStatus: String, Hashable, Sendable {
    /// In none.
    case idle
    /// A statement is running.
    case active
    /// In one, and the next statement belongs to it.
    case inTransaction
    /// In one that has failed: only its end, or the way back to a savepoint, is accepted.
    case inFailedTransaction
    /// The connection is over.
    case unknown
  }

  /// A look at the socket (a fraction of a microsecond): nothing to read, so nothing has ended it, as far as this
  /// machine knows. False for a connection that is over.
  public var isQuiet: Bool {
    session.map(isQuiet) ?? false
  }

  /// Reads what has arrived on an idle connection: then it is known whether it goes on. True if it does.
  public func isStanding() -> Bool {
    if case .idle(let session) = state, !isQuiet(session) { read(session) }
    return isOpen
  }

  func isQuiet(_ session: Session) -> Bool {
    var descriptor = pollfd(fd: session.descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&descriptor, 1, 0) == 0
  }

  /// What the server has reported about itself (PostgreSQL manual, 34.2 "PQparameterStatus"), such as
  /// `server_encoding`; nil if it reports no such thing, or the connection is over.
  public func parameterStatus(_ name: String) -> String? {
    session?.parameterStatus(name)
  }

  /// The address of this end, as PostgreSQL's `host(inet)` writes it; nil for a Unix socket, and for a connection
  /// that is over.
  public var localAddress: String? {
    session?.localAddress
  }

  /// As the server last reported: 14 and later do at the login, and with the first answer after a promotion.
  public var isInHotStandby: Bool { parameterStatus("in_hot_standby") == "on" }
}
