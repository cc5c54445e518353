import EventLoop
import PoolCore

/// Logs in to a database: host after host, each with a deadline of its own, and hands over connections that live on
/// a loop. Any number of logins may run at the same time; each uses one thread while it runs.
public final class Connector: Sendable {
  /// The loop its connections will live on.
  public let loop: EventLoop
  /// Where it logs in.
  public let database: Database
  private let abandoned = AbandonedAttempts()
  private let silent = SilentHosts()
  private let prepares: Bool

  /// Logs in at `database`; connects to nothing yet. `preparesStatements`: what is asked again on a connection is
  /// prepared at the server, which a pooler that gives each transaction to another server makes useless.
  public init(loop: EventLoop, database: Database, preparesStatements: Bool = true) {
    self.loop = loop
    self.database = database
    prepares = preparesStatements
  }

  /// Login attempts that were given up but are still stuck in the system (a resolver that hangs). At four, no other
  /// is started until one returns.
  public var stuckAttempts: Int { abandoned.count }

  /// A session at this host got no answer in time. Until something is heard of it, the other hosts are asked before it,
  /// if a role is asked for.
  public func fellSilent(_ host: HostID) { silent.add(host) }

  /// Logs in to the first host of the place that takes us. The loop must be running.
  ///
  /// When every host fails, the fault is that of the host that says most (the server's own word, else whoever came
  /// furthest), and its message holds what each of them said. It takes at most `connectTimeout` for each host.
  /// Cancelling the task abandons the attempt and throws at once.
  public func login(at place: LoginPlace = .anywhere) async throws(Fault) -> Connection {
    let login = Login(
      loop: loop, database: database, prepares: prepares, abandoned: abandoned, silent: silent)
    let outcome = await withTaskCancellationHandler {
      await login.run(at: place)
    } onCancel: {
      login.cancel()
    }
    return try outcome.get()
  }
}
