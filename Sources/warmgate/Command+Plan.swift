import EventLoop
import PoolCore
import Postgres
import WarmPool

extension Command {
  static let plan = Command(
    name: "plan", summary: "tells whether a rollout fits the server",
    details:
      "Counts the sessions of a Deployment at rest and while it is rolled: pods that are being deleted hold theirs until "
      + "they are drained, besides those that replace them. The server's limits, and what others use of them, are read "
      + "from it, or said with --server-connections. The settings of serve are those of the fleet. It is advisory: what "
      + "others will use at that time, nobody knows.",
    takesSettings: true,
    options: [
      Option(name: "replicas", placeholder: "NUMBER", meaning: "pods of the Deployment; needed"),
      Option(
        name: "max-surge", placeholder: ValueKind.podCount.placeholder,
        meaning: "pods above that while it is rolled (default: 25%, as in Kubernetes)"),
      Option(
        name: "max-unavailable", placeholder: ValueKind.podCount.placeholder,
        meaning: "pods below that while it is rolled (default: 25%)"),
      Option(
        name: "app-connections", placeholder: "NUMBER",
        meaning: "sessions that the application of one pod opens by itself, at most (default: 0)"),
      Option(
        name: "ready-after", placeholder: "DURATION",
        meaning: "from the creation of a pod until it is ready (default: 10s)"),
      Option(
        name: "server-connections", placeholder: "NUMBER",
        meaning: "max_connections of the server, which is not asked then"),
      Option(
        name: "server-reserved", placeholder: "NUMBER",
        meaning: "with it: slots that only superusers and the like get (default: 3)"),
      Option(
        name: "others", placeholder: "NUMBER",
        meaning:
          "sessions of others (default: those that are open now and not of this fleet, by application name; "
          + "0 with --server-connections)"),
      .json,
    ], exits: [(0, "it fits"), (1, "it does not, or the server could not be asked")]
  ) { invocation throws(UsageError) in
    try invocation.expectOperands(atMost: 0)
    let settings = try invocation.settings()
    let fleet = try invocation.fleet(settings)
    guard let room = try invocation.room(settings) else { return 1 }
    let plan = RolloutPlan(fleet: fleet, room: room)
    if invocation.arguments.has("json") {
      invocation.console.print(plan.json.text)
    } else {
      for line in plan.lines { invocation.console.print(line) }
    }
    return plan.fits ? 0 : 1
  }
}

extension Command.Invocation {
  /// A number of pods or sessions.
  fileprivate func count(_ option: String) throws(UsageError) -> Int? {
    guard let number = try value(option, as: .count) else { return nil }
    guard number <= RolloutPlan.mostPods else {
      throw UsageError("--\(option) \("\(number)".quoted): give at most \(RolloutPlan.mostPods)")
    }
    return number
  }

  fileprivate func fleet(_ settings: ServeSettings) throws(UsageError) -> RolloutPlan.Fleet {
    guard let replicas = try count("replicas") else {
      throw UsageError("plan needs to know how many pods: --replicas NUMBER")
    }
    let surge = try value("max-surge", as: .podCount) ?? .percent(25)
    let unavailable = try value("max-unavailable", as: .podCount) ?? .percent(25)
    if surge.isZero, unavailable.isZero {
      throw UsageError("--max-surge and --max-unavailable are both 0: Kubernetes could never roll that")
    }
    let (more, fewer) = (surge.of(replicas, roundingUp: true), unavailable.of(replicas, roundingUp: false))
    return RolloutPlan.Fleet(
      replicas: replicas, surge: more,
      // As Kubernetes does where both shares come to nothing.
      unavailable: more == 0 && fewer == 0 ? 1 : fewer,
      minConnections: settings.pool.minConnections, maxConnections: settings.pool.maxConnections,
      appConnections: try count("app-connections") ?? 0, drains: settings.pool.drainTimeout,
      readyAfter: try duration("ready-after") ?? .seconds(10))
  }

  /// Nil if the server could not be asked; then it has been said why.
  fileprivate func room(_ settings: ServeSettings) throws(UsageError) -> FleetRoom? {
    let others = try count("others")
    if let slots = try count("server-connections") {
      return FleetRoom(
        maxConnections: slots, reserved: try count("server-reserved") ?? 3, others: others ?? 0)
    }
    if arguments.has("server-reserved") {
      throw UsageError("--server-reserved goes with --server-connections")
    }
    let database = try database(settings)
    let prefixes = ["\(settings.applicationName)/"] + [settings.appNamePrefix].compactMap(\.self)
    do {
      let answer = try onOwnLoop("plan") { loop -> Result<FleetRoom, Fault> in
        let connector = Connector(loop: loop, database: database)
        do throws(Fault) {
          return .success(try await FleetRoom.ask(connector, named: prefixes, others: others))
        } catch { return .failure(error) }
      }
      return try answer.get()
    } catch {
      let why = (error as? Fault).map { "\($0.summary): \($0.message)" } ?? "\(error)"
      console.complain("the server's limits cannot be read (\(why)); --server-connections says them instead")
      return nil
    }
  }
}

extension FleetRoom {
  /// Sessions whose application name begins with one of `prefixes` are the fleet's, as far as our role may see that.
  fileprivate static func ask(
    _ connector: Connector, named prefixes: [String], others: Int?
  ) async throws(Fault) -> FleetRoom {
    let connection = try await connector.login()
    let answer: RoomQuestion.Answer
    do throws(QueryError) { answer = try await RoomQuestion.ask(connection, besides: prefixes) } catch {
      await connection.close()
      throw error.fault
    }
    await connection.close()
    guard let room = answer.room else {
      throw Fault(.unexpectedAnswer, at: .session, message: "it does not tell them")
    }
    return FleetRoom(room, others: others)
  }
}
