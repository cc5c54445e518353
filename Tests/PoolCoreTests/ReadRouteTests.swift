import Testing

@testable import PoolCore

@Suite("which pool a read goes to") struct ReadRouteTests {
  private typealias Standing = ReadRoute.Standing

  private func trusted(busy: Int = 0) -> Standing { Standing(isTrusted: true, busy: busy) }
  private let inDoubt = Standing(isTrusted: false)
  private let refusing = Standing(isTrusted: false, isRefusing: true)

  @Test("standbys that are alike are taken in turn")
  func inTurn() {
    let steps = (0..<6).map { turn in
      var route = ReadRoute(turn: turn)
      return route.next(standbys: [trusted(), trusted(), trusted()], primary: trusted())
    }
    #expect(
      steps == [.standby(0), .standby(1), .standby(2), .standby(0), .standby(1), .standby(2)])
  }

  @Test("a turn of any size is a turn", arguments: [Int.min, -1, Int.max])
  func anyTurn(turn: Int) {
    var route = ReadRoute(turn: turn)
    let step = route.next(standbys: [trusted(), trusted()], primary: trusted())
    #expect(step == .standby(0) || step == .standby(1))
  }

  @Test("the least busy standby comes first, whoever's turn it is")
  func leastBusy() {
    for turn in 0..<3 {
      var route = ReadRoute(turn: turn)
      let standbys = [trusted(busy: 3), trusted(busy: 1), trusted(busy: 2)]
      #expect(route.next(standbys: standbys, primary: trusted()) == .standby(1))
    }
  }

  @Test("however busy a standby is, the primary does not get its reads")
  func busy() {
    var route = ReadRoute(turn: 0)
    #expect(route.next(standbys: [trusted(busy: 1000)], primary: trusted()) == .standby(0))
  }

  @Test("a standby that had nothing is passed over, and after the last one it is the primary's turn")
  func passedOver() {
    var route = ReadRoute(turn: 1)
    let standbys = [trusted(), trusted()]
    #expect(route.next(standbys: standbys, primary: trusted()) == .standby(1))
    route.pass(1)
    #expect(route.next(standbys: standbys, primary: trusted()) == .standby(0))
    route.pass(0)
    #expect(route.next(standbys: standbys, primary: trusted()) == .primary)
  }

  @Test("a standby in doubt is not asked while another one, or the primary, can be trusted")
  func doubt() {
    var route = ReadRoute(turn: 0)
    #expect(route.next(standbys: [inDoubt, trusted(busy: 9)], primary: trusted()) == .standby(1))
    #expect(route.next(standbys: [inDoubt, refusing], primary: trusted()) == .primary)
  }

  @Test(
    "if nobody can be trusted, a standby that may be well in a moment is looked at again, also one passed over"
  )
  func lookAgain() {
    var route = ReadRoute(turn: 0)
    #expect(route.next(standbys: [inDoubt, refusing], primary: refusing) == .lookAgain)
    #expect(route.next(standbys: [trusted(), refusing], primary: refusing) == .standby(0))
    route.pass(0)
    #expect(route.next(standbys: [trusted(), refusing], primary: refusing) == .lookAgain)
    #expect(route.next(standbys: [trusted(), refusing], primary: refusing) == .standby(0))
  }

  @Test("if every standby refuses, the primary has the last word: a real cause, at once")
  func primaryHasTheLastWord() {
    var route = ReadRoute(turn: 0)
    #expect(route.next(standbys: [refusing, refusing], primary: refusing) == .primary)
    #expect(route.next(standbys: [refusing], primary: inDoubt) == .primary)
    #expect(route.next(standbys: [], primary: inDoubt) == .primary)
  }
}

@Suite("how a read sees a pool") struct StandingTests {
  private func standing(_ pool: VirtualPool) -> ReadRoute.Standing {
    ReadRoute.Standing(pool.snapshot, at: pool.now)
  }

  /// From its first login on.
  private func failing(_ fault: Fault) -> VirtualPool {
    var server = VirtualServer()
    server.refuse(fault)
    return VirtualPool(server: server)
  }

  @Test("a warm pool can be trusted, until the first question that is not answered")
  func firstSign() {
    let pool = Verdicts.ready()
    #expect(pool.core.isTrusted)
    #expect(standing(pool) == .init(isTrusted: true))
    pool.server.hang()
    while pool.snapshot.probe.failuresInRow == 0 { pool.advance(by: .milliseconds(100)) }
    #expect(pool.snapshot.phase == .ready, "readiness waits for a second failure")
    #expect(!pool.core.isTrusted)
    #expect(!standing(pool).isTrusted)
  }

  @Test("a pool that warms cannot be trusted yet; one that keeps failing refuses")
  func warming() {
    let pool = failing(.refused)
    #expect(!pool.core.isTrusted)
    #expect(standing(pool) == .init(isTrusted: false))
    pool.advance(by: .seconds(60))
    #expect(!pool.core.isTrusted)
    #expect(standing(pool) == .init(isTrusted: false, isRefusing: true))
  }

  @Test("a host that turned out to be a primary is worth waiting for: the primary's pool is about to find it")
  func otherRole() {
    let pool = failing(Fault(.wrongRole, at: .role))
    pool.advance(by: .seconds(60))
    #expect(pool.snapshot.breaker.state != .closed)
    #expect(standing(pool) == .init(isTrusted: false, isRefusing: false))
  }

  @Test("as long as a drain serves its callers, it is no reason to go elsewhere")
  func draining() {
    let pool = Verdicts.ready { $0.drainDelay = .seconds(5) }
    pool.drain(for: .seconds(20))
    #expect(pool.core.isTrusted)
    #expect(standing(pool).isTrusted)
    pool.advance(by: .seconds(6))
    #expect(!pool.core.isTrusted)
    #expect(standing(pool) == .init(isTrusted: false, isRefusing: true))
  }

  @Test("what a stuck loop said last is not believed")
  func stuck() {
    let pool = Verdicts.ready()
    let snapshot = pool.snapshot
    #expect(ReadRoute.Standing(snapshot, at: pool.now + .milliseconds(1999)).isTrusted)
    #expect(!ReadRoute.Standing(snapshot, at: pool.now + .seconds(2)).isTrusted)
  }

  @Test("when roles have changed, a login that waits is tried within half a second")
  func rolesChanged() {
    let pool = failing(.refused)
    // Long enough for the waits between logins to have grown to a minute.
    pool.advance(by: .seconds(3600))
    pool.server.heal()
    pool.send(.rolesChanged)
    pool.advance(by: .seconds(1))
    #expect(pool.snapshot.phase == .ready)
  }
}
