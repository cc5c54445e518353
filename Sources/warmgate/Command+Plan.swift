import EventLoop
import Health
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
      + "others will use at that time, nobody knows. With -f the numbers are those of a manifest, except for what is "
      + "said here, and what is wrong in it is found too; its database is not connected to, name that here. It reads "
      + "Deployments, StatefulSets, DaemonSets and Jobs.",
    takesSettings: true,
    options: [
      Option(
        name: "filename", placeholder: "FILE",
        meaning: "a manifest in YAML or JSON, as kubectl kustomize prints it; - for standard input",
        letter: "f"),
      Option(
        name: "name", placeholder: "[KIND/]NAME",
        meaning: "with -f: the workload, where several have a Warmgate"),
      Option(
        name: "container", placeholder: "NAME",
        meaning: "with -f: the container that is Warmgate's, where that is not to be seen, or only one counts"
      ),
      Option(name: "replicas", placeholder: "NUMBER", meaning: "pods of the Deployment; needed without -f"),
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
        name: "app-stop", placeholder: "DURATION",
        meaning: "with -f: from SIGTERM until the application has ended (default: 0s)"),
      Option(
        name: "lb-interval", placeholder: "DURATION",
        meaning: "with -f: how often a load balancer asks each pod (default: what annotations say)"),
      Option(
        name: "lb-fall", placeholder: "NUMBER",
        meaning: "with it: answers in a row after which it sends nothing more (default: 3)"),
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
    ],
    exits: [
      (0, "it fits, and the manifest has no error"),
      (1, "it does not, or the manifest has an error, or the server could not be asked"),
    ]
  ) { invocation throws(UsageError) in
    try invocation.expectOperands(atMost: 0)
    let settings = try invocation.settings()
    let workload = try invocation.workload()
    var plan = RolloutPlan(fleet: try invocation.fleet(of: workload, settings), room: nil)
    let isAsked = workload == nil || invocation.namesServer(settings)
    if isAsked {
      plan.room = try invocation.room(settings, of: workload?.counted.map(\.settings) ?? [settings])
      // What a manifest says is worth saying all the same.
      if plan.room == nil, workload == nil { return 1 }
      plan.whyNoRoom = "could not be asked"
    }
    if invocation.arguments.has("json") {
      invocation.console.print(JSON.object(plan.members + (workload?.members ?? [])).text)
    } else {
      let lines = (workload?.lines ?? []) + plan.lines + (workload?.reviewLines ?? [])
      for line in lines { invocation.console.print(line) }
    }
    let failed = isAsked && plan.room == nil
    return plan.fits && !failed && workload?.hasErrors != true ? 0 : 1
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

  fileprivate func fleet(
    of workload: PlannedWorkload?, _ settings: ServeSettings
  ) throws(UsageError) -> RolloutPlan.Fleet {
    if let workload { return workload.fleet }
    guard let replicas = try count("replicas") else {
      throw UsageError("plan needs to know how many pods: --replicas NUMBER")
    }
    let surge = try value("max-surge", as: .podCount) ?? .percent(25)
    let unavailable = try value("max-unavailable", as: .podCount) ?? .percent(25)
    for option in ["name", "container", "app-stop", "lb-interval", "lb-fall"] where arguments.has(option) {
      throw UsageError("--\(option) goes with --filename")
    }
    if surge.isZero, unavailable.isZero {
      throw UsageError("--max-surge and --max-unavailable are both 0: Kubernetes could never roll that")
    }
    var fleet = RolloutPlan.Fleet(
      replicas: replicas, surge: 0, unavailable: 0, minConnections: settings.pool.minConnections,
      maxConnections: settings.pool.maxConnections, appConnections: try count("app-connections") ?? 0,
      drains: settings.pool.drainTimeout,
      readyAfter: try duration("ready-after") ?? RolloutPlan.Fleet.standardReadyAfter)
    fleet.roll(surge, unavailable)
    return fleet
  }

  /// Nil without a manifest.
  fileprivate func workload() throws(UsageError) -> PlannedWorkload? {
    guard let path = arguments.value("filename") else { return nil }
    guard arguments.options.count(where: { $0.name == "filename" }) == 1 else {
      throw UsageError("--filename is given twice: put what belongs together into one file, with --- between")
    }
    return try PlannedWorkload(
      try ManifestFile(path), name: arguments.value("name"), container: arguments.value("container"),
      PlannedWorkload.Flags(
        replicas: try count("replicas"), surge: try value("max-surge", as: .podCount),
        unavailable: try value("max-unavailable", as: .podCount),
        appConnections: try count("app-connections"), readyAfter: try duration("ready-after"),
        appStop: try duration("app-stop"), balancer: try balancer(), arguments: arguments))
  }

  private func balancer() throws(UsageError) -> LoadBalancer? {
    let fall = try value("lb-fall", as: .count) ?? 3
    guard let interval = try duration("lb-interval") else {
      if arguments.has("lb-fall") { throw UsageError("--lb-fall goes with --lb-interval") }
      return nil
    }
    guard (1...1000).contains(fall) else { throw UsageError("--lb-fall \("\(fall)".quoted): give 1 to 1000") }
    return LoadBalancer(interval: interval, fall: fall, source: "--lb-interval", line: nil)
  }

  /// Whether there is a server to ask, or to count with. A manifest may be looked at without one.
  fileprivate func namesServer(_ settings: ServeSettings) -> Bool {
    ["server-connections", "server-reserved", "others"].contains { arguments.has($0) }
      || settings.databaseURL != nil
      || ["PGHOST", "PGHOSTADDR", "PGSERVICE"].contains { environment[$0]?.isEmpty == false }
  }

  /// Nil if the server could not be asked; then it has been said why.
  fileprivate func room(
    _ settings: ServeSettings, of fleets: [ServeSettings]
  ) throws(UsageError) -> FleetRoom? {
    let others = try count("others")
    if let slots = try count("server-connections") {
      return FleetRoom(
        maxConnections: slots, reserved: try count("server-reserved") ?? 3, others: others ?? 0)
    }
    if arguments.has("server-reserved") {
      throw UsageError("--server-reserved goes with --server-connections")
    }
    let database = try database(settings)
    let prefixes = fleets.flatMap { ["\($0.applicationName)/"] + [$0.appNamePrefix].compactMap(\.self) }
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
