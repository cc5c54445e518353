import Foundation
import PoolCore
import Support
import Testing

@testable import WarmPool
@testable import warmgate

@Suite struct PlanTests {
  private func fleet(
    _ replicas: Int, surge: Int, unavailable: Int = 0, drains: Duration = .seconds(25),
    readyAfter: Duration = .seconds(10)
  ) -> RolloutPlan.Fleet {
    RolloutPlan.Fleet(
      replicas: replicas, surge: surge, unavailable: unavailable, minConnections: 2, maxConnections: 10,
      appConnections: 0, drains: drains, readyAfter: readyAfter)
  }

  private func plan(_ fleet: RolloutPlan.Fleet, slots: Int) -> RolloutPlan {
    RolloutPlan(fleet: fleet, room: FleetRoom(maxConnections: slots, reserved: 3, others: 0))
  }

  @Test("pods that drain are counted beside those that replace them, and never more than twice the replicas")
  func draining() {
    // A wave of one each ten seconds, and each holds its sessions for 25.
    #expect(fleet(40, surge: 1).draining == 3)
    #expect(fleet(40, surge: 10, unavailable: 10).draining == 30)
    #expect(fleet(40, surge: 10, unavailable: 10, drains: .seconds(10)).draining == 20)
    #expect(fleet(40, surge: 10, unavailable: 10, drains: .zero).draining == 0)
    #expect(fleet(40, surge: 40).draining == 0)
    #expect(fleet(40, surge: 100).draining == 0)
    #expect(fleet(40, surge: 1, readyAfter: .zero).draining == 39)
    #expect(fleet(0, surge: 1).draining == 0)
    for surge in 0...10 {
      for unavailable in 0...10 {
        for drains in [0, 1, 9, 10, 11, 3600] {
          let fleet = fleet(7, surge: surge, unavailable: unavailable, drains: .seconds(drains))
          let rollout = plan(fleet, slots: 100).phases[1]
          #expect(rollout.pods + rollout.draining <= 14, "\(fleet)")
        }
      }
    }
  }

  @Test(
    "shares of the replicas are rounded as Kubernetes does",
    arguments: [(1, 1, 0), (3, 1, 0), (4, 1, 1), (10, 3, 2)])
  func shares(replicas: Int, surge: Int, unavailable: Int) {
    #expect(PodCount.percent(25).of(replicas, roundingUp: true) == surge)
    #expect(PodCount.percent(25).of(replicas, roundingUp: false) == unavailable)
    #expect(PodCount.number(2).of(replicas, roundingUp: true) == 2)
  }

  @Test("each piece of advice is right: with it the rollout fits, with one session more it would not")
  func advice() throws {
    let tight = plan(fleet(10, surge: 3, unavailable: 2), slots: 120)
    #expect(tight.advice == ["--max-connections 5", "max_connections 203 at the server"])
    let slow = plan(fleet(10, surge: 3, unavailable: 2), slots: 143)
    #expect(slow.advice.contains("--max-surge 1 --max-unavailable 0, one pod after the other"))
    #expect(plan(fleet(10, surge: 1), slots: 143).fits && !plan(fleet(10, surge: 1), slots: 142).fits)
    for most in 5...6 {
      var other = tight
      other.fleet.maxConnections = most
      #expect(other.fits == (most == 5))
    }
    #expect(plan(tight.fleet, slots: 203).fits && !plan(tight.fleet, slots: 202).fits)
    #expect(plan(tight.fleet, slots: 203).advice.isEmpty)
    // Nothing of ours can be made small enough where the application alone is too much.
    var crowded = tight
    crowded.fleet.appConnections = 50
    #expect(!crowded.advice.contains { $0.hasPrefix("--max-connections") })
  }

  @Test(
    "the narrowest of the server's limits decides, and what the fleet holds already is not counted against it"
  )
  func limits() {
    let room = ServerRoom(
      maxConnections: 100, reserved: 3, used: 10, role: .init(limit: 40, used: 5), database: nil)
    #expect(FleetRoom(room, others: nil).capacity == 35)
    #expect(FleetRoom(room, others: 80).capacity == 17)
    #expect(
      FleetRoom(room, others: nil).enlarged(to: 95)
        == "max_connections 108 and the role's limit 100 at the server")
    // More than there is room for are there already.
    #expect(FleetRoom(room, others: 150).capacity == 0)
    #expect(FleetRoom(room, others: 150).enlarged(to: 30) == "max_connections 183 at the server")
  }

  @Test("whatever a server answers can be counted with")
  func counts() {
    #expect(RoomQuestion.count(from: "100") == 100)
    #expect(RoomQuestion.count(from: "-1") == -1)
    #expect(RoomQuestion.count(from: "\(Int.max)") == 1_000_000_000)
    #expect(RoomQuestion.count(from: "\(Int.min)") == -1)
    #expect(RoomQuestion.count(from: "many") == nil)
  }

  @Test("a fleet that fits exits 0, one that does not 1 and says what would")
  func exits() async throws {
    let fits = try await warmgate(
      "plan", "--replicas", "10", "--max-connections", "5", "--app-connections", "3", "--server-connections",
      "200")
    #expect(fits.status == .exited(0))
    #expect(
      fits.output == """
        server    max_connections 200, 3 reserved: 197 for this fleet
        pod       2 to 5 sessions and up to 3 of the application; drains for up to 25s, the next is ready after 10s
        steady    10 pods: 20 to 80 sessions, 117 left
        rollout   13 pods, and 7 that drain: 26 to 160 sessions, 37 left
        it fits

        """)
    let not = try await warmgate(
      "plan", "--replicas", "40", "--server-connections", "200", "--json",
      environment: ["WARMGATE_MAX_CONNECTIONS": "4", "WARMGATE_DRAIN_TIMEOUT": "5s"])
    #expect(not.status == .exited(1))
    #expect(
      not.output
        == #"{"fits":false,"capacity":197,"peak":280,"phases":[{"phase":"steady","pods":40,"draining":0,"least":80,"most":160,"fits":true},{"phase":"rollout","pods":50,"draining":20,"least":100,"most":280,"fits":false}],"advice":["--max-connections 2","--max-surge 1 --max-unavailable 0, one pod after the other","max_connections 283 at the server"]}"#
        + "\n")
  }

  @Test("the server is asked for its limits, and for what others use of them")
  func live() async throws {
    try await withPostgres(["max_connections": "60", "superuser_reserved_connections": "4"]) { server in
      _ = try await server.sql("CREATE ROLE shop LOGIN PASSWORD 'secret' CONNECTION LIMIT 50")
      let url = "postgresql://shop:secret@127.0.0.1:\(server.port)/postgres"
      func capacity(_ more: String...) async throws -> Int? {
        let result = try await run(
          [ServedProcess.executable, "plan", "--replicas", "2", "--json", "--database-url", url] + more)
        let answer = try JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any]
        return answer?["capacity"] as? Int
      }
      #expect(try await capacity() == 50)
      #expect(try await capacity("--others", "30") == 26)
      // Ours, by its name, and somebody else's.
      let sidecar = try ServedProcess([
        "serve", "--database-url", url, "--min-connections", "3", "--listen", "127.0.0.1:\(freePort())",
        "--admin-listen", "127.0.0.1:\(freePort())",
      ])
      let stranger = try await server.session()
      #expect(await eventually(within: .seconds(20)) { try await server.sessions(like: "warmgate/%") == 3 })
      _ = try await server.sql("ALTER ROLE shop CONNECTION LIMIT -1")
      // What takes no slot, as the launcher of logical replication, is not counted.
      #expect(try await capacity() == 55)
      #expect(try await capacity("--application-name", "another") == 52)
      // By both names, and counted once.
      #expect(try await capacity("--app-name-prefix", "warm") == 55)
      #expect(try await capacity("--application-name", "another", "--app-name-prefix", "warm") == 55)
      // By the name that a manifest gives them.
      let folder = try TemporaryDirectory()
      let shop = ShopManifest().replacing(
        "WARMGATE_MIN_CONNECTIONS, value: \"2\"", "WARMGATE_LOG_LEVEL, value: info")
      for (manifest, left) in [(shop, 55), (shop.replacing("20s]", "20s, --application-name=another]"), 52)] {
        let path = "\(folder.path)/shop-\(left).yaml"
        try manifest.text.write(toFile: path, atomically: true, encoding: .utf8)
        #expect(try await capacity("-f", path) == left)
      }
      await stranger.end()
      await sidecar.kill()
    }
  }

  @Test("a server that cannot be asked is said in a line without the password, and exits 1")
  func unreachable() async throws {
    let result = try await warmgate(
      "plan", "--replicas", "2", "--database-url", "postgresql://shop:s3cret@127.0.0.1:\(freePort())/x")
    #expect(result.status == .exited(1))
    #expect(result.output == "")
    #expect(result.errors.hasPrefix("warmgate: the server's limits cannot be read (tcp: connection refused"))
    #expect(result.errors.contains("--server-connections") && !result.errors.contains("s3cret"))
    #expect(result.errors.split(separator: "\n").count == 1)
  }
}
