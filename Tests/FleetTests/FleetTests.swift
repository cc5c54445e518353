import Foundation
import Support
import Testing

/// Forty processes with a floor of four before one PostgreSQL, and what its log says of their logins. One test at a
/// time: each needs the machine.
@Suite(.serialized, .timeLimit(.minutes(10))) struct FleetTests {
  static let instances = 40
  static let floor = 4

  private static let table = ResultTable([
    "40 instances × 4", "logins", "refused: full", "refused: starting", "peak per 100 ms", "peak in flight",
    "ready",
    "after", "peak from the calm on", "last login",
  ])

  /// Lets something happen, and tells what it meant for the server. `all`: so many logins succeed in the end.
  @discardableResult
  private func measure(
    _ name: String, _ pg: TestPostgres, all: Int? = nil, _ body: () async throws -> String
  ) async throws -> LoginLog {
    let (length, began) = (pg.logLength, ContinuousClock.now)
    let ready = try await body()
    let took = ContinuousClock.now - began
    if let all {
      #expect(await eventually(within: .seconds(60)) { pg.logins(since: length).succeeded >= all })
    }
    let logins = pg.logins(since: length)
    let seconds = Double(took.components.seconds) + Double(took.components.attoseconds) / 1e18
    Self.table.add([
      name, "\(logins.arrivals.count)", "\(logins.full)", "\(logins.starting)", "\(logins.peakPerTenth)",
      "\(logins.peakInFlight)", ready, String(format: "%.1f s", seconds),
      "\(logins.peakPerStep)", String(format: "%.2f s", logins.completion),
    ])
    return logins
  }

  private func withServer(slots: Int, _ body: (TestPostgres, _ url: String) async throws -> Void) async throws
  {
    try await withPostgres(["max_connections": "\(slots)"]) { pg in
      try await pg.sql("CREATE ROLE app LOGIN PASSWORD '\(TestPostgres.password)'")
      try await body(pg, pg.tcpURL(user: "app"))
    }
  }

  @Test(
    "where they fit, a rollout at once, an outage and a leak that fits refuse nobody; a leak that does not, few"
  )
  func fitting() async throws {
    try await withServer(slots: 200) { pg, url in
      try await withFleet { fleet in
        let rollout = try await measure("200 slots: rollout", pg, all: Self.instances * Self.floor) {
          try fleet.start(Self.instances, url: url, min: Self.floor, max: 10)
          #expect(await fleet.becomeReady(Self.instances, within: .seconds(120)))
          return "\(await fleet.ready())"
        }
        #expect(rollout.full == 0)
        #expect(rollout.succeeded == Self.instances * Self.floor)

        try await pg.stop(.immediate)
        try await Task.sleep(for: .seconds(10))
        let outage = try await measure(
          "200 slots: after an outage of 10 s", pg, all: Self.instances * Self.floor
        ) {
          try await pg.start()
          #expect(await fleet.becomeReady(Self.instances, within: .seconds(120)))
          return "\(await fleet.ready())"
        }
        #expect(outage.full == 0)
        #expect(
          await eventually(within: .seconds(60)) { try await pg.sessions() == Self.instances * Self.floor })

        let smallLeak = Stampede(30, url: url)
        #expect(await smallLeak.becomeOpen(30, within: .seconds(30)))
        let fits = try await measure("200 slots: 5 replaced beside a leak of 30", pg) {
          await fleet.kill(5)
          try fleet.start(5, url: url, min: Self.floor, max: 10)
          #expect(await fleet.becomeReady(Self.instances, within: .seconds(120)))
          return "\(await fleet.ready())"
        }
        await smallLeak.close()
        #expect(fits.full == 0)

        // Ten instances leave 77 slots; with the leak 17 are left for their successors, which want 40.
        await fleet.kill(10)
        let leak = Stampede(60, url: url)
        #expect(await leak.becomeOpen(60, within: .seconds(30)))
        let missing = try await measure("200 slots: 10 replaced beside a leak of 60", pg) {
          try fleet.start(10, url: url, min: Self.floor, max: 10)
          #expect(await fleet.becomeReady(Self.instances - 9, within: .seconds(120)))
          try await Task.sleep(for: .seconds(20))
          return "\(await fleet.ready())"
        }
        #expect(await fleet.verdicts().contains { $0.hasPrefix("not ready: no slots: at least ") })
        // Two of each at the first contact, and those of the scouts that find no slot: in 20 s, with full jitter from
        // 1 s to 10 s, each is refused about 7 times, and hardly ever more than 12 times.
        #expect(missing.full <= 2 * 10 + 12 * 8)
        let released = try await measure("200 slots: the leak is released", pg) {
          await leak.close()
          #expect(await fleet.becomeReady(Self.instances, within: .seconds(120)))
          return "\(await fleet.ready())"
        }
        #expect(released.full <= 10)
      }
    }
  }

  @Test("where they do not fit, as many as can are ready, and the others wait without knocking")
  func tooMany() async throws {
    try await withServer(slots: 100) { pg, url in
      try await withFleet { fleet in
        // 97 slots for 40 first connections: 57 are left for 3 more each, so 19 instances.
        let rollout = try await measure("100 slots: rollout, two minutes", pg) {
          let end = ContinuousClock.now + .seconds(120)
          try fleet.start(Self.instances, url: url, min: Self.floor, max: 10)
          #expect(await fleet.becomeReady(18, within: .seconds(120)))
          try await Task.sleep(until: end)
          return "\(await fleet.ready())"
        }
        // 24 fit. The last few are a matter of luck, and of time.
        #expect(await fleet.ready() >= 22)
        // Full jitter up to 10 s: about 24 times in two minutes for each of the 16 without a slot, while they are.
        #expect(rollout.full <= 2 * Self.instances + 20 * 21)
      }
    }
  }

  @Test("with tickets, where they fit nobody is refused, in a rollout and after an outage")
  func tickets() async throws {
    try await withServer(slots: 200) { pg, url in
      try await withFleet { fleet in
        let rollout = try await measure("200 slots, 2 tickets: rollout", pg) {
          try fleet.start(
            Self.instances, url: url, min: Self.floor, max: 10, flags: ["--fleet-tickets", "2"])
          #expect(await fleet.becomeReady(Self.instances, within: .seconds(120)))
          return "\(await fleet.ready())"
        }
        #expect(rollout.full == 0)
        try await pg.stop(.immediate)
        try await Task.sleep(for: .seconds(10))
        let outage = try await measure("200 slots, 2 tickets: after an outage of 10 s", pg) {
          try await pg.start()
          #expect(await fleet.becomeReady(Self.instances, within: .seconds(120)))
          return "\(await fleet.ready())"
        }
        #expect(outage.full == 0)
      }
    }
  }

  @Test("with shares, where they do not fit all are ready on what there is")
  func shares() async throws {
    try await withServer(slots: 100) { pg, url in
      try await withFleet { fleet in
        let rollout = try await measure("100 slots, a ticket and shares: rollout", pg) {
          let flags = ["--fleet-tickets", "1", "--elastic-min"]
          try fleet.start(Self.instances, url: url, min: Self.floor, max: 10, flags: flags)
          #expect(await fleet.becomeReady(Self.instances, within: .seconds(120)))
          return "\(await fleet.ready())"
        }
        // A scout that comes when the others have all slots is refused, until they know of it.
        #expect(rollout.full <= 3 * Self.instances)
        #expect(
          await eventually(within: .seconds(60)) { try await pg.sessions() == Self.instances * 2 },
          "an equal share is two for each")
      }
    }
  }

  @Test("the same with clients that open every slot at once, and try again every 100 ms")
  func stampede() async throws {
    for (slots, wanted) in [(200, 160), (100, 97)] {
      try await withServer(slots: slots) { pg, url in
        let clients = Stampede(Self.instances * Self.floor, url: url)
        try await measure("\(slots) slots: every slot at once, rollout, 10 s", pg) {
          #expect(await clients.becomeOpen(wanted, within: .seconds(60)))
          try await Task.sleep(for: .seconds(10))
          return "\(clients.open / Self.floor)"
        }
        try await measure("\(slots) slots: every slot at once, 10 s outage and after it", pg) {
          try await pg.stop(.immediate)
          try await Task.sleep(for: .seconds(10))
          try await pg.start()
          #expect(await clients.becomeOpen(wanted, within: .seconds(60)))
          return "\(clients.open / Self.floor)"
        }
        await clients.close()
      }
    }
  }
}
