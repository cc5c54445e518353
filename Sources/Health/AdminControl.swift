import PoolCore

/// What the admin listener can ask of the instance. Each closure is called on the listener's thread and must return
/// at once; a completion may be called from any thread, once, however much later.
public struct AdminControl: Sendable {
  /// Starts a drain, or joins the one under way. The completion is called when it is done or has been taken back; for
  /// a request that does not wait, when it has begun: from then on nothing says "ready".
  public var drain: @Sendable (DrainRequest, @escaping @Sendable (DrainAnswer) -> Void) -> Void
  /// Takes a drain back.
  public var resume: @Sendable (@escaping @Sendable (ResumeAnswer) -> Void) -> Void
  /// Drains, then ends the process. Called once the answer to the request has been sent.
  public var quit: @Sendable () -> Void

  /// What is called for each of the three requests.
  public init(
    drain: @escaping @Sendable (DrainRequest, @escaping @Sendable (DrainAnswer) -> Void) -> Void,
    resume: @escaping @Sendable (@escaping @Sendable (ResumeAnswer) -> Void) -> Void,
    quit: @escaping @Sendable () -> Void
  ) {
    self.drain = drain
    self.resume = resume
    self.quit = quit
  }
}

/// A drain that somebody asked for over HTTP.
public struct DrainRequest: Hashable, Sendable {
  /// Instead of `--drain-timeout`; nil if the caller named none.
  public var timeout: Duration?
  /// False: the caller wants to know that it has begun, not how it ends.
  public var wait: Bool

  /// A request that waits for the end of the drain, unless said otherwise.
  public init(timeout: Duration? = nil, wait: Bool = true) {
    self.timeout = timeout
    self.wait = wait
  }
}

/// What whoever asked for a drain is told.
public enum DrainAnswer: Hashable, Sendable {
  /// Begun, for a request that does not wait.
  case begun
  /// Drained; the counts are final.
  case done(DrainProgress)
  /// A resume came before the end.
  case takenBack
  /// Not begun, with the reason in one line.
  case refused(String)
}

/// Whether a drain was taken back.
public enum ResumeAnswer: Hashable, Sendable {
  /// The pool warms again; nothing is said yet about when it is ready.
  case resumed
  /// Such as after SIGTERM, with the reason in one line.
  case refused(String)
}

/// What `/status` tells besides the snapshot.
public struct AdminDetails: Hashable, Sendable {
  /// A setting in force, as it may be shown: without secrets.
  public struct Setting: Hashable, Sendable {
    /// As the flag is called, without its dashes.
    public var name: String
    /// As text; a password is hidden.
    public var value: String
    /// Where it comes from: `flag`, `environment`, `default`.
    public var source: String

    /// A setting and where its value comes from.
    public init(name: String, value: String, source: String) {
      self.name = name
      self.value = value
      self.source = source
    }
  }

  /// Of the executable.
  public var version: String
  /// The instance's name, as in `application_name`.
  public var instance: String
  /// All that are in force.
  public var settings: [Setting]

  /// What `/status` tells of the process itself.
  public init(version: String, instance: String, settings: [Setting] = []) {
    self.version = version
    self.instance = instance
    self.settings = settings
  }
}

/// A drain, resume or quit that was asked for and not done. It must be logged as an error: kubelet ignores the
/// status of a hook, so nobody else would ever know.
public struct RefusedControl: Hashable, Sendable {
  /// `/drain`, `/resume` or `/quit`.
  public var path: String
  /// The HTTP method.
  public var method: String
  /// The HTTP status that was answered.
  public var status: Int
  /// One line.
  public var reason: String
}
