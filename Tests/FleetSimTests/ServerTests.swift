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

  @Test("a login holds a slot from the moment it is let in, and is a session that others see once it is done")
  func slots() {
    var server = server(slots: 5, reserved: 2)
    for number in 1...3 { #expect(server.arrive(login(number)) == nil) }
    #expect(server.arrive(login(4)) == .noSlots)
    #expect(server.used == 0 && server.free == 0)
    #expect(server.takeNext()?.login.id == 1)
    #expect(server.free == 0)
    server.finish(wanted: true)
    #expect(server.used == 1 && server.free == 0)
    server.end()
    #expect(server.used == 0 && server.free == 1)
    #expect(server.arrive(login(5)) == nil)
  }

  @Test("whoever asks for room hears of sessions but its own, of others' too, and not of logins under way")
  func room() {
    var server = server(slots: 10, reserved: 3)
    server.admit()
    #expect(server.roomForOne == ServerRoom(maxConnections: 10, reserved: 3, used: 0))
    server.occupy(2)
    _ = server.arrive(login(1))
    _ = server.takeNext()
    _ = server.arrive(login(2))
    #expect(server.roomForOne == ServerRoom(maxConnections: 10, reserved: 3, used: 2))
    server.finish(wanted: true)
    #expect(server.roomForOne.used == 3)
  }

  @Test("a login whose client has gone is worked on like any other, and leaves no session")
  func wasted() {
    var server = server(slots: 5)
    _ = server.arrive(login(1))
    #expect(server.takeNext() != nil)
    #expect(server.busy == 1)
    server.finish(wanted: false)
    #expect(server.busy == 0 && server.used == 0 && server.free == 5)
  }

  @Test("logins are taken in the order in which they came, no more at a time than there are workers")
  func queue() {
    var server = server(slots: 20_000)
    for number in 1...10_000 { _ = server.arrive(login(number)) }
    #expect(server.takeNext()?.login.id == 1)
    #expect(server.takeNext()?.login.id == 2)
    #expect(server.takeNext() == nil)
    for number in 3...10_000 {
      server.finish(wanted: true)
      #expect(server.takeNext()?.login.id == UInt32(number))
    }
    #expect(server.waiting == 0 && server.busy == 2)
  }

  @Test("with every worker busy it completes as many as the model says, and one alone is quicker")
  func rate() throws {
    var server = server(slots: 10)
    server.slow(by: 1)
    for number in 1...2 { _ = server.arrive(login(number)) }
    let (first, second) = (server.takeNext(), server.takeNext())
    let (alone, busy) = (try #require(first).takes, try #require(second).takes)
    #expect(abs(Double(server.model.workers) / busy.inSeconds - server.model.loginsPerSecond) < 0.01)
    #expect(abs(busy / alone - (1 + server.model.crowding)) < 0.001)
  }

  @Test("a slow server takes so many times as long, until it has recovered")
  func slow() throws {
    var server = server(slots: 10)
    func cost() throws -> Duration {
      _ = server.arrive(login(1))
      defer { server.finish(wanted: false) }
      let next = server.takeNext()
      return try #require(next).takes
    }
    let usual = try cost()
    server.slow(by: 10)
    #expect(abs(try cost() / usual - 10) < 0.001)
    server.recover(from: 10)
    #expect(try cost() == usual)
  }

  @Test("a server that is down refuses without a word, one that starts with 57P03, and neither takes a slot")
  func conditions() {
    var server = server(slots: 10)
    _ = server.arrive(login(1))
    _ = server.takeNext()
    server.admit()
    server.goDown()
    #expect(server.used == 0 && server.busy == 0 && server.waiting == 0)
    #expect(server.arrive(login(2)) == .nobodyListens)
    server.begin(.starting)
    #expect(server.arrive(login(2)) == .starting)
    #expect(Refusal.starting.fault.sqlState == .cannotConnectNow)
    #expect(server.takeNext() == nil && server.free == 10)
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
}
