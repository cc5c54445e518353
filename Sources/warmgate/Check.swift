import EventLoop
import Glibc
import PoolCore
import Postgres
import WarmPool

/// Connects once, as `serve` would, and explains each step on the way.
struct Check {
  let settings: ServeSettings
  let database: Database
  let loop: EventLoop
  var report: CheckReport

  init(_ settings: ServeSettings, _ database: Database, on loop: EventLoop, report: CheckReport) {
    self.settings = settings
    self.database = database
    self.loop = loop
    self.report = report
  }

  /// On the loop.
  mutating func run() async {
    report.passed("settings", database.description)
    guard let connection = await connect() else { return }
    await explain(connection)
    await connection.close()
  }

  // MARK: - Hosts

  /// With several hosts, the failure of one is a warning as long as another takes us.
  private mutating func connect() async -> Connection? {
    let connector = Connector(loop: loop, database: database)
    var faults: [(host: Host, fault: Fault)] = []
    for host in database.hosts {
      if let fault = await reach(host) {
        faults.append((host, fault))
        continue
      }
      let start = Moment.now()
      do throws(Fault) {
        let connection = try await connector.login(at: .only(host.id))
        await loggedIn(connection)
        if isAlone { return connection }
        await connection.close()
      } catch {
        let took = Moment.now() - start
        report.failed(error.step.checkName, error, host: label(host), took: took, asWarning: !isAlone)
        faults.append((host, error))
      }
    }
    if isAlone { return nil }
    return await choose(connector, after: faults)
  }

  private var isAlone: Bool { database.hosts.count == 1 }

  private func label(_ host: Host) -> String? { isAlone ? nil : host.label }

  /// Which of several hosts `serve` would be at.
  private mutating func choose(
    _ connector: Connector, after faults: [(host: Host, fault: Fault)]
  ) async -> Connection? {
    if faults.count == database.hosts.count, let last = faults.last {
      let text = "none of the \(faults.count) hosts can be used"
      report.add(.init(name: "hosts", outcome: .failed, text: text, advice: last.fault.advice))
      return nil
    }
    do throws(Fault) {
      let connection = try await connector.login()
      report.passed("hosts", "\(connection.hostLabel) is the one that is used", took: connection.loginTook)
      return connection
    } catch {
      report.failed("hosts", error)
      return nil
    }
  }

  // MARK: - Before the login

  /// Name and TCP, or the Unix socket. Nil if the host can be connected to.
  private mutating func reach(_ host: Host) async -> Fault? {
    let limit = database.connectTimeout
    let addresses: [SocketAddress]
    if host.isUnixSocket {
      // An abstract socket has no path to connect to by hand; the login will tell.
      guard !host.name.hasPrefix("@"), let address = SocketAddress.unix(host.label) else { return nil }
      addresses = [address]
    } else {
      let start = Moment.now()
      let (name, port) = (host.address ?? host.name, host.port)
      let result = await blockingCall(on: loop, within: limit) { SocketAddress.resolve(name, port: port) }
      let took = Moment.now() - start
      switch result {
      case .success(let found)?:
        addresses = found
        let numbers = found.map(\.number).joined(separator: ", ")
        report.passed(
          "name", name == numbers ? "\(name), no name to look up" : "\(name) is \(numbers)",
          host: label(host),
          took: took)
      case .failure(let failure)?:
        let kind: Fault.Kind = failure.isNameNotFound ? .nameNotFound : .nameLookupFailed
        return tell(Fault(kind, at: .name, host: host.label, message: failure.text), host, took)
      case nil: return tell(Fault(.timedOut, at: .name, host: host.label), host, took)
      }
    }
    return await connect(host, addresses, within: limit)
  }

  private mutating func connect(
    _ host: Host, _ addresses: [SocketAddress], within limit: Duration
  ) async -> Fault? {
    let start = Moment.now()
    let step = host.isUnixSocket ? "socket" : "tcp"
    var failures: [SocketAddress.Failure] = []
    for (index, address) in addresses.enumerated() {
      let deadline =
        Moment.now() + (start + limit - Moment.now()).scaled(by: 1 / Double(addresses.count - index))
      let result = await blockingCall(on: loop, within: limit + .seconds(1)) {
        // Closed at once: only that it comes about is of interest, and a server does not log that.
        address.connect(before: deadline).map { _ = Glibc.close($0) }
      }
      let place = host.isUnixSocket ? host.label : "\(address.number) port \(host.port)"
      switch result {
      case .success?:
        report.passed(step, place, host: label(host), took: Moment.now() - start)
        return nil
      case .failure(let failure)?: failures.append(failure)
      case nil: failures.append(SocketAddress.Failure(code: ETIMEDOUT))
      }
    }
    let kind: Fault.Kind =
      switch failures.last?.code ?? 0 {
      case ECONNREFUSED, ENOENT, ENOTSOCK: .refused
      case EHOSTUNREACH, ENETUNREACH, EADDRNOTAVAIL, EAFNOSUPPORT: .unreachable
      case ETIMEDOUT: .timedOut
      default: .other
      }
    let text = failures.map(\.text).joined(separator: "; ")
    return tell(Fault(kind, at: .tcp, host: host.label, message: text), host, Moment.now() - start)
  }

  private mutating func tell(_ fault: Fault, _ host: Host, _ took: Duration) -> Fault {
    report.failed(fault.step.checkName, fault, host: label(host), took: took, asWarning: !isAlone)
    return fault
  }

  // MARK: - The session

  private mutating func loggedIn(_ connection: Connection) async {
    let host = isAlone ? nil : connection.hostLabel
    if let tls = try? await connection.query(
      "select version, cipher from pg_stat_ssl where pid = pg_backend_pid() and ssl")
    {
      let text = tls.rowCount == 0 ? "not encrypted" : "\(tls[0, 0] ?? ""), \(tls[0, 1] ?? "")"
      report.passed("tls", text, host: host)
    }
    let version = await connection.parameterStatus("server_version") ?? String(connection.serverVersion)
    report.passed(
      "login", "as \(database.user) to \(database.name), PostgreSQL \(version), pid \(connection.backendPID)",
      host: host, took: connection.loginTook)
  }

  private mutating func explain(_ connection: Connection) async {
    guard await role(connection), await probe(connection) else { return }
    await room(connection)
  }

  private mutating func role(_ connection: Connection) async -> Bool {
    let start = Moment.now()
    do throws(QueryError) {
      let isStandby = try await connection.query("select pg_is_in_recovery()")[0, 0] == "t"
      let lag = isStandby ? try await ReplayLag.ask(connection) : .zero
      let wanted = settings.requireRole == .any ? "" : ", as required"
      let text = isStandby ? "standby, \(lag.inTenths) behind\(wanted)" : "primary\(wanted)"
      if settings.requireRole != .any, isStandby != (settings.requireRole == .standby) {
        report.failed("role", Fault(.wrongRole, at: .role, message: "it is a \(text)"))
        return false
      }
      if let limit = settings.maxReplayLag, lag > limit {
        report.failed("role", Fault(.replayLag, at: .role, message: text))
        return false
      }
      report.passed("role", text, took: Moment.now() - start)
      return true
    } catch {
      report.failed("role", error.fault, took: Moment.now() - start)
      return false
    }
  }

  private mutating func probe(_ connection: Connection) async -> Bool {
    let start = Moment.now()
    let (query, timeout) = (settings.probeQuery, settings.pool.probeTimeout)
    // The deadline is ours: closing the connection ends the wait.
    let deadline = Deadline()
    let timer = loop.schedule(at: EventLoop.now() + timeout) {
      deadline.hasPassed = true
      connection.assumeIsolated { $0.close() }
    }
    defer { loop.cancel(timer) }
    do throws(QueryError) {
      let answer = try await connection.query(query)
      let took = Moment.now() - start
      let value = answer.rowCount > 0 ? answer[0, 0] : nil
      let shown = (value ?? (answer.rowCount == 0 ? "no row" : "null")).quoted
      if let expected = settings.probeExpect, value != expected {
        let message = "\(shown) instead of \(expected.quoted)"
        report.failed("probe", Fault(.unexpectedAnswer, at: .probe, message: message), took: took)
        return false
      }
      report.passed("probe", "\(query.quoted) answered \(shown)", took: took)
      return true
    } catch {
      var fault = error.fault
      fault.step = .probe
      if deadline.hasPassed {
        fault = Fault(.timedOut, at: .probe, message: "no answer within \(timeout.settingText)")
      }
      report.failed("probe", fault, took: Moment.now() - start)
      return false
    }
  }

  private mutating func room(_ connection: Connection) async {
    let start = Moment.now()
    do throws(QueryError) {
      guard let room = try await RoomQuestion.ask(connection).room else {
        report.add(.init(name: "room", outcome: .warning, text: "the server does not tell its limits"))
        return
      }
      let (min, max) = (settings.pool.minConnections, settings.pool.maxConnections)
      var step = CheckReport.Step(name: "room", outcome: .ok, text: room.text, took: Moment.now() - start)
      if room.free < max {
        step.outcome = .warning
        step.advice =
          room.free < min
          ? "At this moment not even --min-connections (\(min)) fit; free sessions, raise the limit, or lower it."
          : "The floor of \(min) fits, the ceiling of \(max) does not; lower --max-connections or raise the limit."
      }
      report.add(step)
    } catch {
      report.failed("room", error.fault, took: Moment.now() - start, asWarning: true)
    }
  }
}

/// What the probe's timer and the probe share; both run on the loop.
private final class Deadline {
  var hasPassed = false
}

extension Fault.Step {
  /// What `check` calls the step.
  fileprivate var checkName: String {
    switch self {
    case .authentication, .session: "login"
    default: rawValue
    }
  }
}
