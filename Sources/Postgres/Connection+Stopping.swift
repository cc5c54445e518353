import EventLoop
import PoolCore

/// Statements that are stopped before they end by themselves.
extension Connection {
  /// How long the server has to confirm that it has stopped a statement, before its connection is given up.
  public static let stopPatience: Duration = .seconds(1)

  /// A request that the server gets before the statement itself does nothing there. So it is repeated: after this
  /// time, then after twice as long, and so on.
  static let firstRepeat: Duration = .milliseconds(50)

  /// How long a statement may take, all its round trips together.
  struct TimeLimit {
    let timeout: Duration
    let deadline: Instant
  }

  /// A statement that the server was asked to stop.
  ///
  /// PostgreSQL is asked on a connection of its own, which says nothing about which statement is meant. So the
  /// statement's connection is free again only when both have ended: its answer has come, and the server has closed
  /// the other connection, which it does after it has signalled the session.
  struct Stop {
    enum Cause {
      /// By `requestCancel`: whoever asked the statement waits on.
      case request
      case cancelled
      case timedOut(Duration)
    }

    var cause: Cause
    /// The server may still be about to signal the session.
    var isUnderWay = true
    /// Gives the connection up.
    var timer: TimerToken?
    var nextRepeat = Connection.firstRepeat
    /// Asks once more.
    var repeatTimer: TimerToken?

    /// Says why there was an error, where it was for this.
    func explain(_ failure: inout QueryError) {
      if failure.fault.sqlState == .queryCanceled, let why { failure.fault.message = why }
    }

    /// Nil where the server's own words say enough.
    var why: String? {
      switch cause {
      case .request: nil
      case .cancelled: "cancelled"
      case .timedOut(let timeout): "no answer within \(timeout)"
      }
    }
  }

  /// Asks the server to stop the statement that runs, if one does. Whoever called it waits on, for the error 57014 or
  /// however else it ends; the connection stays in use.
  public func requestCancel() {
    switch state {
    case .running(_, let statement): stop(statement.number, .request)
    case .streaming(_, let stream): stop(stream.number, .request)
    case .idle, .over, .closed: break
    }
  }

  func timer(for number: UInt64, _ limit: TimeLimit) -> TimerToken {
    loop.schedule(at: limit.deadline) { [weak self] in
      self?.assumeIsolated { $0.stop(number, .timedOut(limit.timeout)) }
    }
  }

  /// The session of that statement, as long as it is under way, whether its rows are taken at the end or one by one.
  private func session(of number: UInt64) -> Session? {
    switch state {
    case .running(let session, let statement) where statement.number == number: session
    case .streaming(let session, let stream) where stream.number == number: session
    case .running, .streaming, .idle, .over, .closed: nil
    }
  }

  /// How the statement under way is being stopped, if it is.
  private var stopping: Stop? {
    get {
      switch state {
      case .running(_, let statement): statement.stop
      case .streaming(_, let stream): stream.stop
      case .idle, .over, .closed: nil
      }
    }
    set {
      switch state {
      case .running(_, let statement): statement.stop = newValue
      case .streaming(_, let stream): stream.stop = newValue
      case .idle, .over, .closed: break
      }
    }
  }

  func stop(_ number: UInt64, _ cause: Stop.Cause) {
    guard let session = session(of: number) else { return }
    var stop: Stop
    if let earlier = stopping {
      // Nobody waits without a bound once the caller wants to leave.
      guard case .request = earlier.cause, cause.isBounded else { return }
      stop = earlier
      stop.cause = cause
    } else {
      stop = Stop(cause: cause)
      let isSent = sendCancel(of: number, to: session)
      guard isSent else {
        if cause.isBounded { abandon(stop.why ?? "") }
        return
      }
    }
    if cause.isBounded {
      stop.timer = loop.schedule(at: EventLoop.now() + Self.stopPatience) { [weak self] in
        self?.assumeIsolated { $0.giveUp(number) }
      }
    }
    stopping = stop
  }

  private func stopRequestEnded(_ number: UInt64, isDelivered: Bool) {
    guard session(of: number) != nil else { return }
    // What was not delivered for certain may still arrive, at whatever runs by then.
    guard isDelivered else { return giveUp(number) }
    stopping?.isUnderWay = false
    switch state {
    case .running(let session, let statement) where statement.isComplete:
      state = .idle(session)
      end(statement, nil)
    // Whoever reads it waits for this.
    case .streaming(_, let stream) where stream.isRead: stream.wake()
    case .running, .streaming, .idle, .over, .closed: repeatLater(number)
    }
  }

  private func repeatLater(_ number: UInt64) {
    guard let pause = stopping?.nextRepeat else { return }
    stopping?.repeatTimer = loop.schedule(at: EventLoop.now() + pause) { [weak self] in
      self?.assumeIsolated { $0.askAgain(number) }
    }
    stopping?.nextRepeat = pause * 2
  }

  private func askAgain(_ number: UInt64) {
    guard let session = session(of: number) else { return }
    if sendCancel(of: number, to: session) {
      stopping?.isUnderWay = true
    } else {
      repeatLater(number)
    }
  }

  private func sendCancel(of number: UInt64, to session: Session) -> Bool {
    CancelRequest.send(to: session) { [weak self, loop] isDelivered in
      loop.post { [weak self] in
        self?.assumeIsolated { $0.stopRequestEnded(number, isDelivered: isDelivered) }
      }
    }
  }

  private func giveUp(_ number: UInt64) {
    guard session(of: number) != nil, let stop = stopping else { return }
    let kind: Fault.Kind = if case .timedOut = stop.cause { .timedOut } else { .other }
    abandon((stop.why ?? "cancelled") + ", and the server did not confirm that it stopped", kind)
  }

  func cancelTimers(of statement: RunningStatement) {
    if let timer = statement.timer { loop.cancel(timer) }
    if let stop = statement.stop { cancelTimers(of: stop) }
  }

  func cancelTimers(of stop: Stop) {
    if let timer = stop.timer { loop.cancel(timer) }
    if let timer = stop.repeatTimer { loop.cancel(timer) }
  }
}

extension Connection.Stop.Cause {
  fileprivate var isBounded: Bool {
    if case .request = self { false } else { true }
  }
}
