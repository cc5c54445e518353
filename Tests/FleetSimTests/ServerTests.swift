import PoolCore
import Testing

@testable import FleetSim

@Suite struct ServerTests {
  private func server(slots: Int, reserved: Int = 0) -> Server {
    var model = ServerModel(slots: slots)
    model.reserved = reserved
    return Server(model)
  }

  private func login(_ number: Int) -> Server.Login { .init(seat: 0, id: UInt32(number)) }

  private let now = Instant.origin + .seconds(100)

  @Test("a login holds a slot from the moment it is let in, and is a session that others see once it is done")
  func slots() throws {
    var server = server(slots: 5, reserved: 2)
    for number in 1...3 { #expect(server.arrive(login(number)) == nil) }
    #expect(server.arrive(login(4)) == .noSlots)
    #expect(server.used == 0 && server.free == 0)
    let work = server.takeNext(at: now)
    let ticket = try #require(work).ticket
    #expect(server.done(ticket)?.login?.id == 1)
    #expect(server.free == 0)
    server.settle(ticket, isWanted: true)
    #expect(server.done(ticket) == nil)
    #expect(server.used == 1 && server.free == 0)
    server.end()
    #expect(server.used == 0 && server.free == 1)
    #expect(server.arrive(login(5)) == nil)
  }

  @Test("whoever asks for room hears of sessions but its own, of others' too, and not of logins under way")
  func room() throws {
    var server = server(slots: 10, reserved: 3)
    server.admit()
    #expect(server.roomForOne == ServerRoom(maxConnections: 10, reserved: 3, used: 0))
    server.occupy(2)
    _ = server.arrive(login(1))
    let work = server.takeNext(at: now)
    _ = server.arrive(login(2))
    #expect(server.roomForOne == ServerRoom(maxConnections: 10, reserved: 3, used: 2))
    server.settle(try #require(work).ticket, isWanted: true)
    #expect(server.roomForOne.used == 3)
  }

  @Test("a login whose client has gone is worked on like any other, and leaves no session")
  func wasted() throws {
    var server = server(slots: 5)
    _ = server.arrive(login(1))
    let work = server.takeNext(at: now)
    #expect(server.busy == 1)
    server.settle(try #require(work).ticket, isWanted: false)
    #expect(server.busy == 0 && server.used == 0 && server.free == 5)
  }

  @Test("logins are taken in the order in which they came, no more at a time than there are workers")
  func queue() throws {
    var server = server(slots: 20_000)
    for number in 1...10_000 { _ = server.arrive(login(number)) }
    var tickets: [UInt32] = []
    for number in 1...10_000 {
      let work = server.takeNext(at: now)
      #expect(try #require(work).job.login?.id == UInt32(number))
      tickets.append(try #require(work).ticket)
      guard number >= 2 else { continue }
      #expect(server.busy == 2)
      let more = server.takeNext(at: now)
      #expect(more?.ticket == nil)
      server.settle(tickets[number - 2], isWanted: true)
    }
    #expect(server.waiting == 0 && server.busy == 1 && server.used == 9999)
  }

  @Test("with every worker busy it completes as many as the model says, and one alone is quicker")
  func rate() throws {
    var server = server(slots: 10)
    for number in 1...2 { _ = server.arrive(login(number)) }
    let (first, second) = (server.takeNext(at: now), server.takeNext(at: now))
    let (alone, busy) = (try #require(first).ends - now, try #require(second).ends - now)
    #expect(abs(Double(server.model.workers) / busy.inSeconds - server.model.loginsPerSecond) < 0.01)
    #expect(abs(busy / alone - (1 + server.model.crowding)) < 0.001)
  }

  @Test(
    "a slow server takes so many times as long, for what is left of the work under way too, until it has recovered"
  )
  func slow() throws {
    var server = server(slots: 10)
    _ = server.arrive(login(1))
    let begun = server.takeNext(at: now)
    let usual = try #require(begun).ends - now
    let half = now + usual / 2
    let slowed = server.slow(by: 10, at: half)
    #expect(slowed.map(\.job.login?.id) == [1])
    #expect(abs((slowed[0].ends - half) / usual - 5) < 0.001)
    // The time that was said before is none any more.
    #expect(server.done(try #require(begun).ticket) == nil)
    #expect(server.done(slowed[0].ticket)?.login?.id == 1)
    let recovered = server.slow(by: 1 / 10, at: half + usual)
    #expect(abs((recovered[0].ends - half - usual) / usual - 0.4) < 0.001)
    server.settle(recovered[0].ticket, isWanted: true)
    _ = server.arrive(login(2))
    let next = server.takeNext(at: now)
    #expect(abs((try #require(next).ends - now) / usual - 1) < 0.001)
  }

  @Test("a server that is down refuses without a word, one that starts with 57P03, and neither takes a slot")
  func conditions() throws {
    var server = server(slots: 10)
    _ = server.arrive(login(1))
    let work = server.takeNext(at: now)
    server.admit()
    server.goDown()
    #expect(server.done(try #require(work).ticket) == nil)
    #expect(server.used == 0 && server.busy == 0 && server.waiting == 0)
    #expect(server.arrive(login(2)) == .nobodyListens)
    server.begin(.starting)
    #expect(server.arrive(login(2)) == .starting)
    #expect(Refusal.starting.fault.sqlState == .cannotConnectNow)
    let none = server.takeNext(at: now)
    #expect(none?.ticket == nil && server.free == 10)
    server.begin(.up)
    #expect(server.arrive(login(2)) == nil)
  }

  @Test("others take what is free, then what comes free, until they have what they want")
  func foreign() {
    var server = server(slots: 10)
    for _ in 0..<4 { server.admit() }
    server.occupy(8)
    #expect(server.foreign == 6 && server.free == 0)
    server.end()
    #expect(server.foreign == 7 && server.free == 0)
    server.end()
    server.end()
    #expect(server.foreign == 8 && server.free == 1)
    // They are cut off like everybody, and come back.
    server.goDown()
    #expect(server.foreign == 0)
    server.begin(.up)
    #expect(server.foreign == 8)
    server.release(8)
    #expect(server.foreign == 0 && server.free == 10)
  }

  @Test(
    "instances that start on the server's machine take its workers, in turn with logins, also while it is down"
  )
  func starts() throws {
    var server = server(slots: 5)
    for seat in 0..<3 { server.start(seat: Int32(seat)) }
    for number in 1...2 { #expect(server.arrive(login(number)) == nil) }
    func next() throws -> Server.Work {
      let work = server.takeNext(at: now)
      return try #require(work)
    }
    let (first, second) = (try next(), try next())
    #expect(first.job.login == nil && second.job.login?.id == 1)
    var more = server.takeNext(at: now)
    #expect(more == nil && server.free == 3)
    server.goDown()
    server.started(first.ticket)
    #expect(try next().job.login == nil)
    #expect(try next().job.login == nil)
    more = server.takeNext(at: now)
    #expect(more == nil)
  }
}
