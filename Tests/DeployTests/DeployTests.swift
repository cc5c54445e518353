import Foundation
import Support
import Testing

/// The example application behind a real HAProxy, asked a hundred times a second by users in a process of their own,
/// while its instances are replaced. One test at a time: each needs the machine.
@Suite("a deploy behind HAProxy", .serialized, .timeLimit(.minutes(10))) struct DeployTests {
  private static let table = ResultTable([
    "deploy", "asked", "failed", "of them for the database's absence", "later than 1 s",
    "of them for its absence",
    "p50", "p99", "took",
  ])

  /// When the database could not be asked, in Unix time, and until the application's own pool had found out that it is
  /// back: it tries after 1, 2 and 4 s (psycopg_pool).
  private typealias Absence = ClosedRange<Double>
  private static let poolsOwnPause = 5.0
  private static var now: Double { Date().timeIntervalSince1970 }

  private func withShop(_ body: (TestPostgres, _ url: String) async throws -> Void) async throws {
    try await withPostgres { pg in
      try await pg.sql("CREATE ROLE shop LOGIN PASSWORD '\(TestPostgres.password)'")
      try await pg.sql("CREATE TABLE product (name text); GRANT SELECT ON product TO shop")
      try await body(pg, pg.tcpURL(user: "shop"))
    }
  }

  /// Lets the service's instances be replaced, and returns the questions that failed, or took more than a second,
  /// although the database was there.
  private func deploy(
    _ name: String, _ service: Service, _ body: () async throws -> Absence?
  ) async throws -> (failed: [Users.Question], late: [Users.Question]) {
    let began = Self.now
    let absence = try await body()
    let took = Self.now - began
    let questions = try await service.users.end()
    func isExcused(_ question: Users.Question) -> Bool {
      absence?.overlaps(question.asked...question.asked + question.took / 1000) ?? false
    }
    let failed = questions.filter { !$0.isAnswered }
    let late = questions.filter { $0.isAnswered && $0.took > 1000 }
    let times = questions.filter(\.isAnswered).map(\.took).sorted()
    func quantile(_ part: Double) -> String {
      times.isEmpty ? "" : String(format: "%.0f ms", times[Int(Double(times.count - 1) * part)])
    }
    Self.table.add([
      name, "\(questions.count)", "\(failed.count)", "\(failed.count(where: isExcused))", "\(late.count)",
      "\(late.count(where: isExcused))", quantile(0.5), quantile(0.99), String(format: "%.0f s", took),
    ])
    #expect(questions.count > 500 && times.count > questions.count / 2)
    return (failed.filter { !isExcused($0) }, late.filter { !isExcused($0) })
  }

  @Test(
    """
    a roll of three instances, one while logins are slow and one while the database restarts, fails nobody but while \
    the database is away
    """, arguments: [Service.Check.http, .agent, .none])
  private func roll(_ check: Service.Check) async throws {
    try await withShop { pg, url in
      try await withService(3, of: 3, check, url: url) { service in
        let (failed, late) = try await deploy("a roll, \(check)", service) {
          try await service.replace(service.machines[0], with: "2")
          // A login takes four seconds longer, and an application's user waits for three.
          try await pg.reload(["post_auth_delay": "4s"])
          try await service.replace(service.machines[1], with: "2")
          try await pg.reload(["post_auth_delay": "0"])
          var absence: Absence?
          try await service.replace(service.machines[2], with: "2") {
            let lost = Self.now
            try await pg.stop(.fast)
            try await Task.sleep(for: .seconds(2))
            try await pg.start()
            absence = lost...Self.now + Self.poolsOwnPause
          }
          #expect(await eventually { service.users.questions.suffix(50).allSatisfy { $0.said == "2" } })
          return absence
        }
        // Without Warmgate the users of the second instance wait for its logins, some of them too long.
        #expect(
          check == .none ? !late.isEmpty || !failed.isEmpty : failed.isEmpty,
          "\(failed.prefix(10)) \(service.balancer.log)")
      }
    }
  }

  @Test(
    "a release that cannot log in reaches no user, and is taken back", arguments: [Service.Check.http, .none])
  private func badRelease(_ check: Service.Check) async throws {
    try await withShop { pg, url in
      try await withService(3, of: 3, check, url: url) { service in
        let (failed, _) = try await deploy("a release that cannot log in, \(check)", service) {
          let machine = service.machines[0]
          try await machine.stop()
          let bad = url.replacingOccurrences(of: TestPostgres.password, with: "wrong")
          // What a script of a deploy sees: with Warmgate that it is not ready, without it nothing.
          var hasStarted = true
          do {
            try await machine.start(version: "2", url: bad, patience: .seconds(10))
          } catch {
            hasStarted = false
          }
          #expect(hasStarted == (check == .none))
          if check == .none {
            #expect(await eventually { try service.isUp(machine) })
            // It is noticed by the users; somebody takes it back after as long as a deploy would have waited.
            try await Task.sleep(for: .seconds(10))
          }
          try await service.replace(machine, with: "1")
          return nil
        }
        #expect(failed.isEmpty == (check != .none), "\(failed.prefix(10)) \(service.balancer.log)")
      }
    }
  }

  @Test("blue and green: each takes over from the other, back by `resume`, and nobody fails")
  func blueGreen() async throws {
    try await withShop { _, url in
      try await withService(2, of: 4, .http, url: url) { service in
        let (blue, green) = (service.machines[..<2], service.machines[2...])
        func onlyAnswers(_ version: String) async -> Bool {
          await eventually { service.users.questions.suffix(50).allSatisfy { $0.said == version } }
        }
        let (failed, _) = try await deploy(
          "blue, green and back by resume, \(Service.Check.http)", service
        ) {
          for machine in green { try await service.replace(machine, with: "2") }
          for machine in blue { try await machine.warmgate("drain") }
          #expect(await onlyAnswers("2"))
          for machine in blue { try await machine.warmgate("resume") }
          for machine in blue { try await service.expectServing(machine) }
          for machine in green { try await machine.warmgate("drain") }
          #expect(await onlyAnswers("1"))
          return nil
        }
        #expect(failed.isEmpty, "\(failed.prefix(10)) \(service.balancer.log)")
      }
    }
  }
}
