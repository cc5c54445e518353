import EventLoop
import Glibc
import Health
import PoolCore
import Synchronization
import WarmPool

/// A running sidecar: the pool, the listeners that show and steer it, and the drain marker.
final class Sidecar: Sendable {
  private let log: Log
  private let instance: String
  private let pool: WarmPool
  private let health: HealthServer
  private let admin: AdminServer
  private let agent: AgentServer?
  private let grpc: GRPCServer?
  private let requests = OpenRequests()
  private let finished: @Sendable () -> Void

  /// Binds the listeners and checks everything that can be checked; connects to nothing. Throws a one-line
  /// description, with nothing left behind. `transition` is called after each of the pool's, `finished` when the
  /// process should end.
  init(
    _ settings: ServeSettings, instance: String, log: Log, transition: (@Sendable () -> Void)? = nil,
    finished: @escaping @Sendable () -> Void
  ) throws(UsageError) {
    self.log = log
    self.instance = instance
    self.finished = finished
    let marker = settings.drainMarker.map(DrainMarker.init(path:))
    let isMarked = marker?.exists ?? false
    let probers = Probers(mustSee: settings.probersMustSee)
    var configuration = settings.poolConfiguration(instance: instance, drained: isMarked)
    if settings.probersMustSee > 0 { configuration.probersTold = { probers.allTold(at: EventLoop.now()) } }
    do {
      pool = try WarmPool(configuration) { event in
        log.event(event)
        if let transition, case .transition = event { transition() }
      }
    } catch { throw settings.refusal(of: error.setting, error.description) }

    let pool = pool
    let observe = { @Sendable in Self.observation(of: pool) }
    let details = AdminDetails(version: Warmgate.version, instance: instance, settings: settings.details)
    let requestCounts = RequestCounts()
    do {
      health = try HealthServer(
        listen: [settings.listen], probeInterval: settings.pool.probeInterval, version: Warmgate.version,
        requests: requestCounts, probers: probers, observe: observe)
      admin = try AdminServer(
        listen: settings.adminListen, tokenFile: settings.adminTokenFile, observe: observe,
        control: Self.control(of: pool, requests, marker: marker, log: log, finished: finished),
        details: { details }, requests: requestCounts, probers: probers,
        log: { refused in
          log.error(
            "\(refused.method) \(refused.path) refused",
            ["status": .int(refused.status), "reason": .string(refused.reason)])
        })
      agent = try settings.agentListen.map { address throws(ListenError) in
        try AgentServer(
          listen: address, degradedWeight: settings.agentDegradedWeight, probers: probers, observe: observe)
      }
      grpc = try settings.grpcListen.map { address throws(ListenError) in
        try GRPCServer(listen: address, probers: probers, observe: observe)
      }
    } catch { throw UsageError(error.description) }
    if isMarked {
      log.warn("a drain marker was found: drained until a resume", ["marker": .string(marker?.path ?? "")])
    }
  }

  /// What the outside is told at this moment.
  var observation: Observation { Self.observation(of: pool) }

  private static func observation(of pool: WarmPool) -> Observation {
    Observation(pool.sharedSnapshot, now: EventLoop.now())
  }

  /// The pool warms from here on.
  func start() {
    let listeners = [
      ("health", health.address), ("admin", admin.address), ("agent", agent?.address),
      ("grpc", grpc?.address),
    ]
    log.note(
      .info, "listening",
      fields: listeners.compactMap { name, address in
        address.map { .init(name, .string($0.description)) }
      } + [.init("instance", .string(instance)), .init("version", .string(Warmgate.version))])
    let pool = pool
    Task(executorPreference: pool.executor) { await pool.run() }
  }

  /// Drains unless that is done, then calls `finished`.
  func terminate() {
    let (pool, requests, finished) = (pool, requests, finished)
    Task(executorPreference: pool.executor) {
      _ = try? await pool.terminate()
      await requests.answered()
      finished()
    }
  }

  /// Test hook of debug builds: the loop is stuck for a while, as by a bug.
  func blockLoop() {
    #if DEBUG
      pool.blockLoop(for: .seconds(15))
    #endif
  }

  /// Answers what still waits, and stops listening.
  func stop() {
    admin.stop()
    health.stop()
    agent?.stop()
    grpc?.stop()
  }

  /// What the admin listener may do. A marker belongs to a drain that somebody asked for: it outlives the process, so a
  /// termination does not write one (a container that is restarted by its liveness probe must come back).
  private static func control(
    of pool: WarmPool, _ requests: OpenRequests, marker: DrainMarker?, log: Log,
    finished: @escaping @Sendable () -> Void
  ) -> AdminControl {
    AdminControl(
      drain: { request, answer in
        if let marker, !marker.write() {
          log.error(
            "cannot write the drain marker: \(String(cString: strerror(errno)))",
            ["marker": .string(marker.path)])
        }
        requests.began()
        Task(executorPreference: pool.executor) {
          defer { requests.ended() }
          do {
            if !request.wait {
              await pool.beginDrain(within: request.timeout)
              return answer(.begun)
            }
            answer(.done(try await pool.drain(within: request.timeout)))
          } catch let error as PoolError where error.kind == .drainTakenBack {
            answer(.takenBack)
          } catch {
            answer(.refused("\(error)"))
          }
        }
      },
      resume: { answer in
        requests.began()
        Task(executorPreference: pool.executor) {
          defer { requests.ended() }
          do {
            try await pool.resume()
            if let marker, !marker.remove() {
              log.error(
                "cannot remove the drain marker: \(String(cString: strerror(errno)))",
                ["marker": .string(marker.path)])
            }
            answer(.resumed)
          } catch {
            if case .resumeRefused(let why)? = (error as? PoolError)?.kind {
              answer(.refused(why))
            } else {
              answer(.refused("\(error)"))
            }
          }
        }
      },
      quit: {
        log.info("quit: ending")
        Task(executorPreference: pool.executor) {
          _ = try? await pool.drain()
          _ = try? await pool.terminate()
          await requests.answered()
          finished()
        }
      })
  }
}

/// Drains and resumes that the pool has not answered yet.
///
/// Whoever waits for a drain is resumed in the turn in which the pool ends, perhaps after the one who is to end the
/// process: it lets them go first.
private final class OpenRequests: Sendable {
  private let count = Atomic(0)

  func began() { count.add(1, ordering: .relaxed) }
  func ended() { count.subtract(1, ordering: .relaxed) }

  /// Returns when there is none. Only when the pool has ended: each of them is then a turn or two of the loop away.
  func answered() async {
    while count.load(ordering: .relaxed) > 0 { await Task.yield() }
  }
}
