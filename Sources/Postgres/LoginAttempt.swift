import CLibpq
import CLinux
import EventLoop
import Glibc
import PoolCore
import Synchronization

/// One attempt to log in at one host, on a thread of its own, because libpq and the system's resolver block.
///
/// It ends by itself at its deadline wherever it waits in `poll`. Where it is stuck in a call that cannot be
/// interrupted (a resolver that hangs), the loop abandons it: its outcome is dropped, and what it owns goes when the
/// call returns.
final class LoginAttempt: Sendable {
  typealias Outcome = Result<Session, Fault>

  let host: Host
  private let database: Database
  private let sessionAttributes: String
  private let deadline: Instant
  private let abandoned: AbandonedAttempts
  private let deliver: @Sendable (Outcome) -> Void
  /// Becomes readable when the attempt is abandoned.
  private let wake: Int32
  private let progress = Mutex(Progress())

  private struct Progress {
    var step = Fault.Step.settings
    var isAbandoned = false
    var isFinished = false
  }

  /// Calls `deliver` once on the attempt's thread, unless it is abandoned first.
  init(
    database: Database, host: Host, sessionAttributes: String, deadline: Instant,
    abandoned: AbandonedAttempts,
    deliver: @escaping @Sendable (Outcome) -> Void
  ) throws(Fault) {
    self.database = database
    self.host = host
    self.sessionAttributes = sessionAttributes
    self.deadline = deadline
    self.abandoned = abandoned
    self.deliver = deliver
    wake = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
    if wake < 0 {
      throw Fault(.other, at: .settings, host: host.label, message: "eventfd: \(errorText(errno))")
    }
  }

  deinit { close(wake) }

  /// What it is doing. Any thread.
  var step: Fault.Step { progress.withLock { $0.step } }

  func start() throws(Fault) {
    let attempt = Unmanaged.passRetained(self)
    let code = DetachedThread.start(runLoginAttempt, attempt.toOpaque())
    guard code == 0 else {
      attempt.release()
      throw Fault(
        .other, at: .settings, host: host.label, message: "cannot start a thread: \(errorText(code))")
    }
  }

  /// Nothing will be delivered any more. False if that came too late: the outcome is on its way. Any thread.
  func abandon() -> Bool {
    let isFirst = progress.withLock { progress in
      guard !progress.isFinished, !progress.isAbandoned else { return false }
      progress.isAbandoned = true
      abandoned.add()
      return true
    }
    if isFirst { eventfd_write(wake, 1) }
    return isFirst
  }

  fileprivate func run() {
    let outcome: Outcome
    do throws(Fault) { outcome = .success(try login()) } catch {
      var fault = error
      if fault.host == nil, fault.step != .settings { fault.host = host.label }
      outcome = .failure(fault)
    }
    let wanted = progress.withLock { progress in
      progress.isFinished = true
      if progress.isAbandoned { abandoned.remove() }
      return !progress.isAbandoned
    }
    // Not wanted: the session ends with its last reference, here.
    if wanted { deliver(outcome) }
  }

  private func enter(_ step: Fault.Step) { progress.withLock { $0.step = step } }

  // MARK: - On the attempt's thread

  private func login() throws(Fault) -> Session {
    var options = database.options
    if let file = database.passwordFile {
      do {
        let password = try PasswordFile.read(file)
        options.removeAll { $0.keyword == "password" }
        options.append(.init(keyword: "password", value: password))
      } catch {
        throw Fault(.misconfigured, at: .settings, message: "password file \(file) \(error.reason)")
      }
    }
    if !host.name.isEmpty { options.append(.init(keyword: "host", value: host.name)) }
    options.append(.init(keyword: "port", value: String(host.port)))
    options.append(.init(keyword: "target_session_attrs", value: sessionAttributes))

    if host.isUnixSocket { return try login(options, by: deadline) }
    var addresses: [String] = []
    if let address = host.address {
      addresses = [address]
    } else {
      enter(.name)
      addresses = try NameLookup.addresses(of: host.name)
    }
    return try login(options, at: addresses)
  }

  private func login(_ options: [Database.Option], at addresses: [String]) throws(Fault) -> Session {
    var faults: [Fault] = []
    for (index, address) in addresses.enumerated() {
      let now = EventLoop.now()
      let left = deadline - now
      if left <= .zero { break }
      let share = now + left / (addresses.count - index)
      do {
        return try login(options + [.init(keyword: "hostaddr", value: address)], by: share)
      } catch {
        if addresses.count == 1 { throw error }
        var fault = error
        fault.host = "\(host.label) at \(address)"
        faults.append(fault)
        if error.isSameAtEveryAddress { break }
      }
    }
    var fault = Fault.mostTelling(faults) ?? Fault(.timedOut, at: step)
    fault.host = host.label
    throw fault
  }

  private func login(_ options: [Database.Option], by deadline: Instant) throws(Fault) -> Session {
    enter(.tcp)
    guard let connection = Session.start(options, expandingDatabaseName: false) else {
      throw Fault(.other, at: .settings, message: "out of memory")
    }
    let session = Session(connection)
    PQsetErrorVerbosity(connection, PQERRORS_VERBOSE)
    // "If the last call to PQconnectPoll was none, behave as if it had returned WRITING" (manual, 34.1.1).
    var polled = PGRES_POLLING_WRITING
    var furthest = Fault.Step.tcp
    while !session.isBroken {
      if polled == PGRES_POLLING_READING || polled == PGRES_POLLING_WRITING {
        try wait(for: polled == PGRES_POLLING_READING ? POLLIN : POLLOUT, session.descriptor, until: deadline)
      }
      polled = PQconnectPoll(connection)
      if let step = Self.step(of: PQstatus(connection)) {
        furthest = step
        enter(step)
      }
      if polled == PGRES_POLLING_OK {
        PQsetErrorVerbosity(connection, PQERRORS_DEFAULT)
        // From here on it may never block: on the loop it would stop everything.
        guard PQsetnonblocking(connection, 1) == 0 else {
          throw Fault(.other, at: .session, message: oneLine(session.errorMessage))
        }
        return session
      }
      if polled == PGRES_POLLING_FAILED { break }
    }
    throw LoginFault.classify(
      session.errorMessage, at: furthest, needsPassword: PQconnectionNeedsPassword(connection) != 0,
      host: host.label)
  }

  private func wait(for event: Int32, _ descriptor: Int32, until deadline: Instant) throws(Fault) {
    var descriptors = [
      pollfd(fd: descriptor, events: Int16(event), revents: 0),
      pollfd(fd: wake, events: Int16(POLLIN), revents: 0),
    ]
    while true {
      let left = deadline - EventLoop.now()
      guard left > .zero else { throw Fault(.timedOut, at: step) }
      // Rounded up, or it would spin through the last millisecond.
      let milliseconds = min(left.inNanoseconds / 1_000_000 + 1, 3_600_000)
      let count = poll(&descriptors, nfds_t(descriptors.count), Int32(milliseconds))
      if descriptors[1].revents != 0 { throw Fault(.other, at: step, message: "abandoned") }
      if count > 0 { return }
      if count < 0, errno != EINTR { throw Fault(.other, at: step, message: "poll: \(errorText(errno))") }
    }
  }

  private static func step(of status: ConnStatusType) -> Fault.Step? {
    switch status {
    case CONNECTION_STARTED, CONNECTION_MADE, CONNECTION_NEEDED: .tcp
    case CONNECTION_SSL_STARTUP, CONNECTION_GSS_STARTUP: .tls
    case CONNECTION_AWAITING_RESPONSE: .authentication
    case CONNECTION_AUTH_OK, CONNECTION_SETENV: .session
    case CONNECTION_CHECK_WRITABLE, CONNECTION_CHECK_TARGET, CONNECTION_CHECK_STANDBY, CONNECTION_CONSUME:
      .role
    default: nil
    }
  }
}

extension Fault {
  /// Asking another address of the same name would only repeat it, and count as another failed login there.
  fileprivate var isSameAtEveryAddress: Bool {
    switch kind {
    case .server(let state): state != .cannotConnectNow
    case .passwordMissing, .certificate, .misconfigured: true
    default: false
    }
  }
}

/// Named and free of isolation: it runs on a thread that Swift did not make.
private func runLoginAttempt(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  clinux_name_thread("login")
  guard let argument else { return nil }
  Unmanaged<LoginAttempt>.fromOpaque(argument).takeRetainedValue().run()
  return nil
}
