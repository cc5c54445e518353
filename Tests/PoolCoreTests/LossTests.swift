import Testing

@testable import PoolCore

@Suite struct Losses {
  static func ready(_ change: (inout PoolSettings) -> Void = { $0.minConnections = 5 }) -> VirtualPool {
    let pool = VirtualPool(seed: 1, change)
    pool.advance(within: .seconds(30)) { $0.isReady }
    pool.advance(by: .milliseconds(900))
    pool.clearLog()
    return pool
  }

  @Test(
    "an idle connection ended with 57P01 is replaced, its siblings are asked and kept, ready is never lost")
  func oneTerminated() throws {
    let pool = Self.ready()
    let siblings = Set(pool.sessions.keys)
    let victim = pool.idle[1]
    pool.end(victim, .shutDown)
    #expect(pool.probes.map(\.id) == [pool.reserved])
    #expect(Set(pool.verified) == siblings.subtracting([victim, try #require(pool.reserved)]))
    pool.advance(by: .seconds(1))
    #expect(pool.closes.map(\.id) == [victim])
    #expect(pool.open == 5)
    #expect(Set(pool.sessions.keys).isSuperset(of: siblings.subtracting([victim])))
    #expect(!pool.lostReadiness)
    #expect(pool.isReady && !pool.isDegraded)
    #expect(pool.snapshot.generation == 1)
  }

  @Test("the probe's own connection ended with 57P01 costs no readiness either", arguments: [1, 2, 5])
  func probeTerminated(min: Int) throws {
    let pool = Self.ready { $0.minConnections = min }
    pool.end(try #require(pool.reserved), .shutDown)
    pool.advance(by: .seconds(1))
    #expect(!pool.lostReadiness)
    #expect(pool.open == min)
    #expect(pool.closes.count == 1)
  }

  @Test("two ends by 57P01 within a second retire the generation, more than a second apart they do not")
  func twoTerminated() {
    for gap in [Duration.milliseconds(900), .milliseconds(1100)] {
      let pool = Self.ready()
      pool.end(pool.idle[0], .shutDown)
      pool.advance(by: gap)
      pool.end(pool.idle[0], .shutDown)
      #expect(pool.snapshot.generation == (gap < .seconds(1) ? 2 : 1))
      pool.advance(by: .seconds(1))
      #expect(pool.open == 5)
      #expect(pool.phase == .ready)
    }
  }

  @Test("two ends without a word do not retire the generation while the siblings answer")
  func twoClosed() {
    let pool = Self.ready()
    pool.end(pool.idle[0], .closed)
    pool.advance(by: .milliseconds(100))
    pool.end(pool.idle[0], .closed)
    pool.advance(by: .seconds(1))
    #expect(pool.snapshot.generation == 1)
    #expect(pool.closes.count == 2)
    #expect(pool.open == 5)
  }

  @Test(
    "a crash, a read-only server, a dropped database and a wrong role retire the generation",
    arguments: [Fault.crashed, .readOnly, .server("57P04", at: .idle), Fault(.wrongRole, at: .role)])
  func retiring(_ fault: Fault) {
    let pool = Self.ready()
    pool.end(pool.idle[0], fault)
    #expect(pool.snapshot.generation == 2)
    #expect(pool.open == 0)
    #expect(pool.closes.count { $0.reason == .retired } == 4)
  }

  @Test("a lease that meets a read-only server retires the generation; other leases finish, and then close")
  func readOnlyLease() throws {
    let pool = Self.ready()
    let (a, b) = (pool.acquire(), pool.acquire())
    let kept = try #require(pool.connection(of: b))
    pool.release(a, reusable: true, .readOnly)
    #expect(pool.snapshot.generation == 2)
    #expect(Array(pool.sessions.keys) == [kept])
    #expect(pool.connection(of: b) == kept)
    pool.advance(by: .seconds(3))
    #expect(pool.isReady)
    // The old one does not count for the floor.
    #expect(pool.open == 6)
    pool.release(b)
    #expect(pool.closes.last.map { $0.id == kept && $0.reason == .retired } == true)
    #expect(pool.open == 5)
  }

  @Test("leases of a former generation count for the ceiling, not for the floor")
  func retiredLeases() {
    let pool = Self.ready {
      $0.minConnections = 4
      $0.maxConnections = 6
    }
    let leases = (0..<5).map { _ in pool.acquire(for: .seconds(9)) }
    pool.advance(by: .milliseconds(500))
    #expect(pool.open == 6)
    pool.end(pool.connection(of: leases[0])!, .crashed)
    pool.advance(by: .seconds(3))
    #expect(pool.open == 6)
    #expect(pool.phase == .ready && pool.isDegraded)
    #expect(pool.reasons.contains(.belowFloor(open: 1, min: 4)))
    for lease in leases { pool.release(lease) }
    pool.advance(by: .seconds(1))
    #expect(pool.isReady && !pool.isDegraded)
    #expect(pool.open == 4)
  }

  @Test("a sibling that ends when it is asked, or is silent, retires the generation")
  func failedSibling() {
    for query in [VirtualServer.Query.ends(.closed), .silent] {
      let pool = Self.ready()
      pool.server.queries[pool.idle[2]] = query
      pool.end(pool.idle[0], .shutDown)
      pool.advance(by: .milliseconds(1000))
      #expect(pool.snapshot.generation == 2)
      #expect(pool.phase == .ready)
    }
  }

  @Test("the probe's own connection is a sibling like any other: lost after a loss, it speaks for all")
  func failedProbeSibling() throws {
    for query in [VirtualServer.Query.ends(.closed), .silent] {
      let pool = Self.ready()
      pool.server.queries[try #require(pool.reserved)] = query
      pool.end(pool.idle[0], .closed)
      pool.advance(by: .milliseconds(1000))
      #expect(pool.snapshot.generation == 2)
      #expect(
        pool.snapshot.retirement?.fault?.kind
          == (pool.closes.contains { $0.reason == .silent } ? .timedOut : .closed))
      #expect(pool.phase == .ready)
    }
    // Once it has answered, its end is a loss of its own.
    let pool = Self.ready()
    pool.end(pool.idle[0], .closed)
    pool.advance(by: .milliseconds(100))
    pool.end(try #require(pool.reserved), .closed)
    #expect(pool.snapshot.generation == 1)
  }

  @Test("a sibling that is being asked already when another is lost is one too")
  func siblingBeingAsked() throws {
    let pool = Self.ready()
    for id in pool.idle { pool.server.queries[id] = .silent }
    pool.advance(within: .seconds(60)) { $0.core.members.verifying == 1 }
    let asked = try #require(pool.verified.last)
    pool.end(try #require(pool.idle.first { $0 != asked }), .closed)
    pool.end(asked, .closed)
    #expect(pool.snapshot.generation == 2)
  }

  @Test("a probe that fails on a connection that works is no lost sibling")
  func wrongAnswerSibling() throws {
    let pool = Self.ready()
    pool.server.queries[try #require(pool.reserved)] = .fails(.unexpectedAnswer)
    pool.end(pool.idle[0], .closed)
    pool.advance(by: .seconds(1))
    #expect(pool.snapshot.generation == 1)
    // It has shown that it works: its end is a loss of its own.
    pool.server.queries = [:]
    pool.advance(by: .milliseconds(100))
    for id in pool.sessions.keys.sorted() where pool.core.members[id]?.doubt == .suspect {
      Issue.record("\(id) is still in doubt")
    }
  }

  @Test("a session picked while it is being asked, because another was, does not speak for all")
  func pickedWhileAsked() throws {
    let pool = Self.ready()
    for _ in 0..<2 {
      pool.end(try #require(pool.idle.first), .shutDown)
      pool.advance(by: .milliseconds(500))
    }
    pool.advance(within: .seconds(5)) { $0.open == 5 && $0.core.shutdownSigns.isDisproved }
    #expect(pool.snapshot.generation == 2)
    pool.end(try #require(pool.idle.first), .shutDown)
    let asked = try #require(pool.sessions.keys.sorted().first { pool.core.members[$0]?.state == .verifying })
    pool.end(asked, .shutDown)
    #expect(pool.snapshot.generation == 2)
    pool.end(try #require(pool.reserved), .shutDown)
    #expect(pool.snapshot.generation == 2)
    pool.advance(by: .seconds(5))
    #expect(pool.open == 5)
  }

  @Test("single sessions ended by an administrator, however many, give up the others once at most")
  func picked() throws {
    let pool = Self.ready { $0.maxConnections = 10 }
    var random = RandomSource(seed: 7)
    for _ in 0..<600 {
      let ids = pool.sessions.keys.sorted()
      if let id = ids.dropFirst(Int(random.fraction() * Double(ids.count))).first { pool.end(id, .shutDown) }
      pool.advance(by: .milliseconds(100))
    }
    #expect(pool.snapshot.generation <= 3)
    #expect(pool.closes.count { $0.reason == .retired } <= 10)
    #expect(pool.closes.count { $0.reason == .ended } > 500)
    // After ten quiet seconds, two within one second are a shutdown again.
    pool.advance(by: .seconds(11))
    let before = pool.snapshot.generation
    pool.end(try #require(pool.idle.first), .shutDown)
    pool.advance(by: .milliseconds(500))
    #expect(pool.snapshot.generation == before)
    pool.end(try #require(pool.idle.first), .shutDown)
    #expect(pool.snapshot.generation == before + 1)
    #expect(pool.snapshot.retirement?.fault?.sqlState == .adminShutdown)
  }

  @Test("a shutdown that follows picked sessions at once is noticed by every session itself")
  func shutdownAfterPicks() {
    let pool = Self.ready()
    for _ in 0..<20 {
      if let id = pool.idle.first { pool.end(id, .shutDown) }
      pool.advance(by: .milliseconds(400))
    }
    #expect(pool.snapshot.generation == 2)
    pool.server.refuse(.starting)
    pool.endAll(.shutDown)
    #expect(pool.open == 0)
    pool.advance(by: .seconds(5))
    #expect(!pool.isReady)
    pool.server.heal()
    pool.advance(within: .seconds(10)) { $0.isReady && $0.open == 5 }
    #expect(pool.isReady && pool.open == 5)
  }

  @Test("a restart is a restart, and two ends soon after it give up all again: its logins were refused")
  func restartTwice() throws {
    let pool = Self.ready()
    for round in 2...3 {
      pool.server.refuse(.starting)
      pool.end(try #require(pool.idle.first), .shutDown)
      pool.advance(by: .milliseconds(10))
      pool.end(try #require(pool.idle.first), .shutDown)
      #expect(pool.snapshot.generation == round)
      pool.advance(by: .milliseconds(300))
      pool.server.heal()
      pool.advance(within: .seconds(5)) { $0.open == 5 }
    }
  }

  @Test("a keep-alive that is silent gives up that connection, and has the others asked")
  func silentKeepAlive() {
    let pool = Self.ready()
    let silent = pool.idle[0]
    pool.server.queries[silent] = .silent
    pool.advance(by: .seconds(40))
    #expect(pool.closes.map(\.id) == [silent])
    #expect(pool.closes.first?.reason == .silent)
    #expect(pool.snapshot.generation == 1)
    #expect(!pool.lostReadiness)
  }

  @Test("the server's own limit on idle sessions ends one connection and concerns nobody else")
  func idleSessionTimeout() {
    let pool = Self.ready()
    pool.end(pool.idle[0], .server("57P05", at: .idle))
    #expect(pool.verified.isEmpty)
    pool.advance(by: .seconds(1))
    #expect(pool.open == 5)
    #expect(pool.verified.isEmpty)
  }

  @Test("a lease whose connection ends keeps it until it is given back, and it is never lent again")
  func brokenLease() throws {
    let pool = Self.ready { $0.minConnections = 2 }
    let lease = pool.acquire()
    let id = try #require(pool.connection(of: lease))
    pool.end(id, .server("25P03", at: .idle))
    #expect(pool.connection(of: lease) == id)
    #expect(pool.sessions[id] != nil)
    pool.advance(by: .milliseconds(100))
    // The floor is made up meanwhile.
    #expect(pool.open == 3)
    pool.release(lease, reusable: true)
    #expect(pool.closes.last.map { $0.id == id && $0.reason == .broken } == true)
  }

  @Test("a statement's errors are the caller's: they close nothing and ask nobody")
  func ordinaryErrors() {
    for code in ["42P01", "23505", "40001", "57014", "53200", "25P02", "0A000"] {
      let pool = Self.ready()
      pool.release(pool.acquire(), reusable: true, .server(code, at: .query))
      #expect(pool.closes.isEmpty && pool.verified.isEmpty, "\(code)")
    }
  }

  @Test("statements that ran into their callers' own deadlines do not concern the siblings")
  func slowStatements() {
    let pool = Self.ready()
    let leases = [pool.acquire(), pool.acquire()]
    for lease in leases { pool.release(lease, reusable: false, Fault(.timedOut, at: .query)) }
    pool.advance(by: .seconds(1))
    #expect(pool.snapshot.generation == 1)
    #expect(pool.verified.isEmpty)
    #expect(pool.closes.map(\.reason) == [.broken, .broken])
    #expect(pool.open == 5)
  }

  @Test("an end that is told twice, by the socket and by the lease, counts once")
  func toldTwice() throws {
    let pool = Self.ready()
    let lease = pool.acquire()
    let id = try #require(pool.connection(of: lease))
    pool.end(id, .shutDown)
    pool.send(.ended(id, .shutDown))
    pool.release(lease, reusable: false, .shutDown)
    #expect(pool.snapshot.generation == 1)
  }

  @Test("an idle connection is asked whether it lives at each health check interval, ± 20 %")
  func keepAlive() {
    let pool = VirtualPool { $0.minConnections = 2 }
    // Before the first connection is too old.
    pool.advance(by: .seconds(1300))
    let times = pool.times { if case .verify = $0 { true } else { false } }
    let gaps = zip(times, times.dropFirst()).map { $1 - $0 }
    #expect((34...55).contains(times.count))
    #expect(gaps.allSatisfy { $0 >= .seconds(24) && $0 <= .milliseconds(37_100) })
    #expect(Set(gaps).count > 20)
  }

  @Test("a restart is a few lines of log, and each kind of fault is kept once with its count")
  func faultRecords() {
    let pool = Self.ready()
    pool.server.refuse(.refused)
    pool.endAll(.shutDown)
    pool.advance(by: .seconds(60))
    let lines = pool.times { if case .fault = $0 { true } else { false } }
    #expect(lines.count <= 3)
    let refused = pool.snapshot.faults.filter { $0.fault == .refused }
    #expect(refused.count == 1)
    #expect(refused.first?.count == pool.snapshot.counters.loginsFailed)
  }
}
