import PoolCore

extension Fault {
  /// What to do about it, in one sentence.
  public var advice: String {
    switch kind {
    case .server(let state): Self.advice(for: state, at: step)
    case .nameNotFound:
      "Check the host name in --database-url and the DNS search path of this machine or pod."
    case .nameLookupFailed:
      "The resolver does not answer: check /etc/resolv.conf and the way to the DNS server."
    case .refused:
      "Nothing listens there: check host and port, and that PostgreSQL runs and listens on that address."
    case .unreachable: "There is no way to that address: check routes, network policies and the IP family."
    case .timedOut where step == .name:
      "The resolver hangs: check /etc/resolv.conf and the way to the DNS server."
    case .timedOut where step == .tcp:
      "Packets vanish on the way: check firewalls, security groups and network policies."
    case .timedOut where step == .probe || step == .query:
      "The server takes too long: check its load and locks, or raise --probe-timeout."
    case .timedOut:
      "The server accepts connections and does not answer: check that it is not stopped or overloaded."
    case .closed: "The other side hung up: check that it is PostgreSQL (or its pooler) and look into its log."
    case .tlsFailed: "Check sslmode in --database-url, and that the server has ssl = on."
    case .certificate:
      "Check sslrootcert, that the certificate is valid today, and that it names the host as --database-url does."
    case .passwordMissing: "The server asks for a password: give --password-file, or one in --database-url."
    case .wrongRole: "Name the right host, list several hosts in --database-url, or change --require-role."
    case .otherCluster:
      "The address leads to another database now. Nothing to do if that was meant; else check name and failover."
    case .replayLag: "Wait until the standby has caught up, or raise --max-replay-lag."
    case .misconfigured: "Correct what the message names in --database-url or its files."
    case .unexpectedAnswer: "Correct --probe-query or --probe-expect, or the data that the query reads."
    case .attemptsStuck: "A resolver or TLS library hangs: check the way to the DNS server, then restart."
    case .other: "See the message, and the log of the server."
    }
  }

  private static func advice(for state: SQLState, at step: Step) -> String {
    switch state.code {
    case "28P01":
      "Check user and password (--password-file wins over the URL's); an unknown user looks the same."
    case "28000":
      "Check pg_hba.conf for this user, database, address and encryption, and that the role exists and may log in."
    case "3D000": "Create the database, or correct its name in --database-url."
    case "53300":
      "Free connections, raise max_connections (or the limit of the role or database), or lower --max-connections."
    case "57P03": "Wait: the server is starting, stopping or recovering; a standby may need hot_standby = on."
    case "57P01", "57P02": "The server is being stopped or has crashed: see its log."
    case "55000": "Let the database accept connections: ALTER DATABASE … ALLOW_CONNECTIONS true."
    case "42501": "Grant the role what the message names (CONNECT on the database, or the probe's tables)."
    case "42P01": "Create the table that --probe-query reads, or correct the query."
    case "25006": "The server is read-only: name the primary, or add --require-role primary to find it."
    case "08P01": "Often a pooler that cannot reach its server: look into its log."
    case "57014": "The query was cancelled: check statement_timeout and locks."
    default:
      step == .probe
        ? "Correct --probe-query, and try it with psql as the same user."
        : "See the manual's appendix \"PostgreSQL Error Codes\" for \(state.code), and the log of the server."
    }
  }
}

extension Reason {
  /// What to do about it, in one sentence; nil where nothing needs to be done.
  public var advice: String? {
    if let fault { return fault.advice }
    return switch self {
    case .starting: "Wait: --splay delays the first login."
    case .noTicket:
      "Wait: others warm at this moment, and after a minute it warms without. "
        + "pg_locks has the holders: advisory locks of class 2002874989."
    case .noSlots:
      "Free connections, raise max_connections (or the limit of the role or database), or lower "
        + "--max-connections; it looks again by itself."
    case .sharing: "Make room for the fleet if its floor matters; it grows by itself."
    case .stalled:
      "Warmgate itself has not run: look for a CPU limit that throttles it, a node without processor time, "
        + "or a paused machine."
    case .draining: "Wait for its end, or take it back with warmgate resume."
    case .drained: "To put it back into rotation: warmgate resume."
    case .warming, .belowFloor, .probeFailed, .databaseLost, .loginFailing, .held: nil
    }
  }
}
