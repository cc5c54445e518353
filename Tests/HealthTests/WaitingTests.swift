import Foundation
import PoolCore
import Testing

@testable import Health

@Suite("Drains that wait")
struct WaitingTests {
  private func post(_ client: RawClient, _ target: String = "/drain") throws {
    try client.send("POST \(target) HTTP/1.1\r\nHost: localhost\r\n\r\n")
  }

  @Test("are answered by completions on foreign threads, all of them, each once")
  func foreignThreads() throws {
    let fixture = try AdminFixture()
    let clients = try (0..<20).map { _ in try fixture.client() }
    for client in clients { try post(client) }
    try fixture.awaitDrains(20)
    let completions = fixture.seen.drainCompletions
    DispatchQueue.concurrentPerform(iterations: 40) { index in
      completions[index % 20](.done(AdminFixture.counts))
    }
    for client in clients { #expect(try client.receive().status == 200) }
    for client in clients { #expect(try client.ask("GET", "/").status == 200, "no second answer") }
  }

  @Test("do no harm when their client has gone meanwhile")
  func clientGone() throws {
    let fixture = try AdminFixture()
    for _ in 0..<10 {
      let gone = try fixture.client()
      try post(gone)
    }
    try fixture.awaitDrains(10)
    let one = try fixture.client()
    try post(one)
    try fixture.awaitDrains(11)
    for completion in fixture.seen.drainCompletions { completion(.done(AdminFixture.counts)) }
    #expect(try one.receive().status == 200)
    for completion in fixture.seen.drainCompletions { completion(.takenBack) }
    #expect(try one.ask("GET", "/status").status == 200)
  }

  @Test("are answered although the client has closed its sending side")
  func halfClosed() throws {
    let fixture = try AdminFixture()
    let client = try fixture.client()
    try post(client)
    client.closeWriting()
    try fixture.awaitDrains(1)
    fixture.seen.drainCompletions[0](.done(AdminFixture.counts))
    #expect(try client.receive().status == 200)
    #expect(try client.isEnded())
  }

  @Test("get 503 when the listener stops, and a completion that comes after that is ignored")
  func stop() throws {
    let fixture = try AdminFixture()
    let clients = try (0..<5).map { _ in try fixture.client() }
    for client in clients { try post(client) }
    let resuming = try fixture.client()
    let gone = try fixture.client()
    try post(gone)
    try fixture.awaitDrains(6)
    fixture.server.stop()
    for client in clients {
      let response = try client.receive()
      #expect(response.status == 503)
      #expect(response.body == "ending: the drain was not waited for\n")
      #expect(try client.isEnded())
    }
    #expect(try resuming.isEnded())
    for completion in fixture.seen.drainCompletions { completion(.done(AdminFixture.counts)) }
  }

  @Test("may come while the listener stops: nothing hangs and nothing dies")
  func race() throws {
    for _ in 0..<50 {
      let fixture = try AdminFixture()
      let clients = try (0..<4).map { _ in try fixture.client() }
      for client in clients { try post(client) }
      try fixture.awaitDrains(4)
      let completions = fixture.seen.drainCompletions
      DispatchQueue.concurrentPerform(iterations: 5) { index in
        if index == 4 { fixture.server.stop() } else { completions[index](.done(AdminFixture.counts)) }
      }
      for client in clients { #expect([200, 503].contains(try client.receive().status)) }
    }
  }

  @Test("are limited in number: one more is told so, and callers that have gone make room")
  func crowd() throws {
    let fixture = try AdminFixture()
    var clients = try (0..<ListenLimits.waiting).map { _ in try fixture.client() }
    for client in clients { try post(client) }
    try fixture.awaitDrains(ListenLimits.waiting)
    let late = try fixture.client()
    let refused = try late.ask("POST", "/drain")
    #expect(refused.status == 503)
    #expect(refused.body.contains("too many callers wait"))
    #expect(fixture.seen.refused.map(\.status) == [503])
    #expect(try late.ask("POST", "/drain?wait=0").status == 202)
    #expect(fixture.seen.drains.count == ListenLimits.waiting + 1)
    // Nobody is there to be told of a refusal: it is logged all the same.
    fixture.seen.drainCompletions[ListenLimits.waiting](.refused("not now"))
    #expect(fixture.seen.refused.map(\.reason).last == "not now")
    clients.removeLast(3)
    try post(late)
    try fixture.awaitDrains(ListenLimits.waiting + 2)
    for completion in fixture.seen.drainCompletions { completion(.done(AdminFixture.counts)) }
    for client in clients + [late] { #expect(try client.receive().status == 200) }
  }

  @Test("outlive every limit of time")
  func patience() throws {
    var limits = ListenLimits.admin()
    limits.arrival = .milliseconds(50)
    limits.rest = .milliseconds(50)
    limits.delivery = .milliseconds(50)
    let fixture = try AdminFixture(limits: limits)
    let client = try fixture.client()
    let idle = try fixture.client()
    try post(client)
    try fixture.awaitDrains(1)
    // The connection beside it has met its limit.
    #expect(try idle.isEnded())
    let second = try fixture.client()
    #expect(try second.isEnded())
    fixture.seen.drainCompletions[0](.done(AdminFixture.counts))
    #expect(try client.receive().status == 200)
  }
}
